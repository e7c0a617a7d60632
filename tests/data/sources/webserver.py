"""A web server on 127.0.0.1 whose every answer, and every fault, a test decides."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request for a path with the next of its answers, the last one for ever."""

    server: "Web"

    def do_GET(self) -> None:
        answers = self.server.answers.get(self.path) or self.server.answers.get(
            self.path.split("?")[0], [status(404)]
        )
        number = sum(path == self.path for path, _ in self.server.asked)
        self.server.asked.append((self.path, dict(self.headers)))
        answers[min(number, len(answers) - 1)](self)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Web(ThreadingHTTPServer):
    """The server: `answers` by path, what was `asked`, and how long clients said they `waited`."""

    answers: dict[str, list[Answer]]
    asked: list[tuple[str, dict[str, str]]]
    waited: list[float]

    @property
    def home(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass


def status(code: int, **headers: str) -> Answer:
    """This status and no body."""

    def answer(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in {**headers, "Content-Length": "0"}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


def file(
    content: bytes,
    cut: int | None = None,
    length: int | None = None,
    heedless: bool = False,
    **headers: str,
) -> Answer:
    """A file that knows Range and, unless `heedless`, If-Range; the body breaks off after `cut`
    bytes, and `length` is what Content-Length claims."""

    def answer(handler: Handler) -> None:
        version = headers.get("ETag") or headers.get("Last_Modified")
        asked = handler.headers.get("Range", "bytes=0-")
        same = heedless or handler.headers.get("If-Range", version) == version
        begin = int(asked.removeprefix("bytes=").split("-")[0]) if same else 0
        if begin >= len(content) > 0:
            return status(416)(handler)
        rest = content[begin:]
        handler.send_response(206 if begin else 200)
        if begin:
            end = f"{len(content) - 1}/{len(content)}"
            handler.send_header("Content-Range", f"bytes {begin}-{end}")
        for name, value in {"Content_Type": "text/plain", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(rest) if length is None else length))
        handler.end_headers()
        handler.wfile.write(rest if cut is None else rest[:cut])

    return answer


def endless(handler: Handler) -> None:
    """A body without a length that never ends."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 65536)


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The server, running; nothing of the machine's own network settings counts."""
    for name in ("HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Web(("127.0.0.1", 0), Handler) as running:
        running.answers, running.asked, running.waited = {}, [], []
        thread = threading.Thread(target=running.serve_forever, args=(0.005,))
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()
