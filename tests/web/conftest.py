"""A browser, and a small server that says what a test wrote down: the page's whole world."""

import json
import shutil
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

STATIC = Path(__file__).resolve().parents[2] / "nielsgpt" / "serve" / "static"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WAIT_MS = 20_000


@dataclass
class Scripted:
    """One answer of the server: pieces of a reply, or an error.

    Before the piece number `holds_at` it waits for `gate`; `breaks` ends the stream without a word.
    """

    pieces: list[str] = field(default_factory=list)
    status: int = 200
    error: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    finish: str = "stop"
    tokens: int = 20
    holds_at: int | None = None
    breaks: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)


class Standin(ThreadingHTTPServer):
    """What `nielsgpt serve` looks like from the page."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.script: deque[Scripted] = deque()
        self.asked: list[dict[str, Any]] = []
        self.key = ""
        self.model = "keeper"
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def says(self, *pieces: str, **more: Any) -> Scripted:
        """The next reply."""
        self.script.append(Scripted(list(pieces), **more))
        return self.script[-1]

    def fails(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        """The next answer is an error of the API's shape."""
        error = {"message": message, "type": "x", "param": None, "code": code}
        self.script.append(Scripted(status=status, error=error, headers=headers))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves is no error."""


class Answering(BaseHTTPRequestHandler):
    """The routes that the page uses."""

    server: Standin
    protocol_version = "HTTP/1.0"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            if self.allowed():
                self.whole({"object": "list", "data": [{"id": self.server.model}]})
            return
        name = "index.html" if self.path == "/" else self.path.removeprefix("/static/")
        path = STATIC / name
        if "/" in name or not path.is_file():
            self.whole({"error": {"message": "no such page"}}, 404)
            return
        self.head(200, TYPES[path.suffix], {"Content-Security-Policy": "default-src 'self'"})
        self.wfile.write(path.read_bytes())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.allowed():
            return
        self.server.asked.append(body)
        if self.server.script:
            reply = self.server.script.popleft()
        else:
            reply = Scripted(["You said: ", body["messages"][-1]["content"]])
        if reply.error:
            self.whole({"error": reply.error}, reply.status, reply.headers)
            return
        try:
            self.stream(reply)
        except OSError:
            reply.left.set()

    def allowed(self) -> bool:
        if not self.server.key or self.headers["authorization"] == f"Bearer {self.server.key}":
            return True
        self.whole({"error": {"message": "a key is needed", "code": "invalid_api_key"}}, 401)
        return False

    def head(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def whole(self, told: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.head(status, "application/json", headers or {})
        self.wfile.write(json.dumps(told).encode())

    def stream(self, reply: Scripted) -> None:
        self.head(200, "text/event-stream", {})
        self.event({"choices": [{"delta": {"role": "assistant"}, "finish_reason": None}]})
        for number, piece in enumerate(reply.pieces):
            if number == reply.holds_at:
                self.until(reply)
            self.event({"choices": [{"delta": {"content": piece}, "finish_reason": None}]})
        if reply.breaks:
            return
        self.event({"choices": [{"delta": {}, "finish_reason": reply.finish}]})
        usage = {"prompt_tokens": 3, "completion_tokens": reply.tokens}
        self.event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def until(self, reply: Scripted) -> None:
        """Wait for the gate; a comment now and then finds out whether the browser still listens."""
        while not reply.gate.wait(0.02):
            self.wfile.write(b": waiting\n\n")

    def event(self, told: Any) -> None:
        self.wfile.write(f"data: {json.dumps(told)}\n\n".encode())


@pytest.fixture
def server() -> Iterator[Standin]:
    """The stand-in on a free port."""
    with Standin() as standin:
        thread = threading.Thread(target=standin.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield standin
        standin.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium. A module's own: its event loop must not run while other tests do."""
    reason = "needs the Python package playwright: pip install 'nielsgpt[proofs]'"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"needs a Chromium; none of {', '.join(BROWSERS)} is on the PATH")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Watched:
    """A browser context whose pages may do nothing wrong: no error, no dialog, no other origin."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(WAIT_MS)
        self.url = url
        self.wrong: list[str] = []
        self.context.on("request", self.requested)
        self.context.on("page", self.opened)

    def requested(self, request: Any) -> None:
        if not request.url.startswith((self.url, "blob:" + self.url)):
            self.wrong.append(f"asked {request.url}")

    def opened(self, page: Any) -> None:
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog {dialog.message}"))
        page.on("pageerror", lambda error: self.wrong.append(f"error {error}"))
        page.on("console", self.logged)

    def logged(self, message: Any) -> None:
        # The browser reports every status that is not 2xx; the page answers those itself.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.wrong.append(f"console {message.text}")

    def page(self, address: str = "") -> Any:
        page = self.context.new_page()
        page.goto(self.url + address)
        page.locator("#model:not(:empty), #key:not([hidden])").first.wait_for()
        return page


@pytest.fixture
def watched(browser: Any, server: Standin) -> Iterator[Watched]:
    """A context of its own, which at the end has done nothing wrong."""
    watched = Watched(browser, server.url, locale="en", accept_downloads=True)
    yield watched
    watched.context.close()
    assert watched.wrong == []


@pytest.fixture
def page(watched: Watched) -> Any:
    """The page, open and ready."""
    return watched.page()


class Chatting:
    """What a person does again and again."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def say(self, text: str) -> None:
        self.page.fill("#message", text)
        self.page.press("#message", "Enter")

    def settled(self) -> None:
        """Wait until no reply is being written."""
        self.page.wait_for_selector("#stop", state="hidden")

    def hears(self, text: str) -> None:
        """Say it and wait for all of the reply."""
        self.say(text)
        self.settled()

    def shows(self, selector: str, text: str) -> None:
        """Wait until an element there holds the text."""
        self.page.locator(selector, has_text=text).first.wait_for()

    def said(self) -> list[str]:
        """The text of every turn."""
        return [text.strip() for text in self.page.locator("article .said").all_inner_texts()]

    def kept(self) -> list[dict[str, Any]]:
        """The chats as the browser's storage holds them."""
        script = """() => Object.keys(localStorage)
            .filter((name) => name.startsWith("nielsgpt.chat."))
            .map((name) => JSON.parse(localStorage[name]))"""
        return list(self.page.evaluate(script))


@pytest.fixture
def chat(page: Any) -> Chatting:
    """The page in the hands of a person."""
    return Chatting(page)
