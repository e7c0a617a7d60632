import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from nielsgpt.micro import scenarios
from nielsgpt.micro.download import download, fetch
from nielsgpt.micro.errors import MicroError, MicroRunError
from nielsgpt.micro.names import invented
from nielsgpt.micro.scenarios import Scenario

AT_ONCE = (0.0, 0.0)
TEXT = "emma\nzoë\n".encode()


class Server(HTTPServer):
    """Answers each request with the next of its answers, the last one for ever."""

    answers: list[tuple[int, bytes, int]]
    asked = 0

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        status, body, length = self.server.answers[
            min(self.server.asked, len(self.server.answers) - 1)
        ]
        self.server.asked += 1
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def names_at(server: Server) -> Callable[..., Scenario]:
    def build(*answers: tuple[int, bytes] | tuple[int, bytes, int]) -> Scenario:
        server.answers = [(a[0], a[1], a[2] if len(a) == 3 else len(a[1])) for a in answers]
        names = scenarios.load("names")
        url = f"http://127.0.0.1:{server.server_port}/names.txt"
        return replace(names, data=replace(names.data, download_url=url))

    return build


def test_a_download_lands_in_its_place_and_says_its_checksum(
    tmp_path: Path, names_at: Callable[..., Scenario], server: Server
) -> None:
    scenario = names_at((200, TEXT))
    path = tmp_path / "data" / "micro" / "names.txt"
    said = download(tmp_path, scenario)
    assert said == f"wrote {path}: 9 characters, sha256 {hashlib.sha256(TEXT).hexdigest()}"
    assert path.read_bytes() == TEXT
    again = download(tmp_path, scenario)
    assert again == f"{path} is there already; delete it first to make it again"
    assert server.asked == 1


@pytest.mark.parametrize("first", [(500, b"oops"), (200, b"half", 400)])
def test_a_server_that_fails_is_asked_again(
    tmp_path: Path, names_at: Callable[..., Scenario], server: Server, first: tuple[int, ...]
) -> None:
    download(tmp_path, names_at(first, first, (200, TEXT)), pauses_s=AT_ONCE)
    assert server.asked == 3
    assert (tmp_path / "data" / "micro" / "names.txt").read_bytes() == TEXT


@pytest.mark.parametrize(
    ("answer", "asked", "reason"),
    [
        ((404, b""), 1, "Not Found"),
        ((503, b""), 3, "Service Unavailable"),
        ((200, b"half", 400), 3, "IncompleteRead(4 bytes read, 396 more expected)"),
        ((200, b" <!DOCTYPE html>"), 1, "a web page came instead of a text"),
        ((200, b"caf\xe9"), 1, "'utf-8' codec can't decode byte 0xe9 in position 3: unexpected "
                               "end of data"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    names_at: Callable[..., Scenario],
    server: Server,
    answer: tuple[int, ...],
    asked: int,
    reason: str,
) -> None:
    scenario = names_at(answer)
    with pytest.raises(MicroRunError) as caught:
        download(tmp_path, scenario, pauses_s=AT_ONCE)
    assert str(caught.value) == (
        f"{scenario.data.download_url} cannot be fetched ({reason}); "
        "invent some: nielsgpt micro download names --invent"
    )
    assert server.asked == asked
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_it_is_one_line_and_exit_code_1(
    tmp_path: Path, names_at: Callable[..., Scenario], server: Server
) -> None:
    alice = scenarios.load("alice")
    url = str(names_at((200, b"")).data.download_url)
    server.socket.close()
    with pytest.raises(MicroRunError) as caught:
        download(
            tmp_path, replace(alice, data=replace(alice.data, download_url=url)), pauses_s=AT_ONCE
        )
    assert str(caught.value) == (
        f"{url} cannot be fetched (Connection refused); "
        f"put the text at {tmp_path / 'data/micro/alice.txt'} yourself"
    )
    assert caught.value.exit_code == 1


def test_offline_nothing_is_asked_for(
    names_at: Callable[..., Scenario],
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MicroError, match="cannot be downloaded while HF_HUB_OFFLINE is set; put a"):
        download(tmp_path, names_at((200, TEXT)))
    assert server.asked == 0


def test_a_silent_server_is_given_up_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(TimeoutError):
            fetch(url, pauses_s=(0.0,), timeout_s=0.05)


def test_invented_names_are_written_where_training_looks(tmp_path: Path) -> None:
    names = scenarios.load("names")
    path = tmp_path / "data" / "micro" / "names.txt"
    assert download(tmp_path, names, invent=True) == f"wrote {path}: 4,000 invented names"
    assert path.read_text(encoding="utf-8").split("\n") == [*invented(), ""]
    assert "is there already" in download(tmp_path, names, invent=True)


def test_a_book_cannot_be_invented(tmp_path: Path) -> None:
    with pytest.raises(MicroError) as caught:
        download(tmp_path, scenarios.load("alice"), invent=True)
    assert str(caught.value) == ("only names can be generated, not the text of scenario alice")
