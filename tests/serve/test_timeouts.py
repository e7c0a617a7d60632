"""Stalled connections are closed in time; a client that leaves frees its rows."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.serve.conftest import Running, serving

SHORT = {"header_s": 0.3, "body_s": 0.3, "stall_s": 0.3}
HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
STALLS = {
    "nothing": b"",
    "half a line": b"GET /hea",
    "half the headers": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-",
    "no body": HEAD + b"Content-Length: 100\r\n\r\n",
    "half a body": HEAD + b"Content-Length: 100\r\n\r\n{",
    "no chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    "a body that no route reads": HEALTH + b"Content-Length: 9\r\n\r\n",
    "a second half": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /",
    "a body after its refusal": HEALTH.replace(b"GET", b"POST") + b"Content-Length: 9\r\n\r\n1",
}


@pytest.fixture(scope="module")
def hasty() -> Iterator[Running]:
    """A server that waits for nobody long."""
    with serving(**SHORT) as running:
        yield running


def is_closed(connection: socket.socket) -> bool:
    """True if the server has closed the connection after its last bytes."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("sent", STALLS.values(), ids=STALLS)
def test_a_connection_that_stalls_is_closed(hasty: Running, sent: bytes) -> None:
    with hasty.raw(sent) as connection:
        connection.settimeout(3)  # below uvicorn's own five seconds
        assert is_closed(connection)


@pytest.mark.parametrize("kind", ["headers", "body", "refused body", "spare body"])
def test_a_connection_that_drips_is_closed(hasty: Running, kind: str) -> None:
    starts = {
        "headers": b"GET /health HTTP/1.1\r\nX: ",
        "body": HEAD + b"Content-Length: 10000\r\n\r\n",
        "refused body": HEAD.replace(b"json", b"xml") + b"Content-Length: 10000\r\n\r\n",
        "spare body": b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\n",
    }
    end = time.monotonic() + 5
    with hasty.raw(starts[kind]) as connection, pytest.raises(ConnectionError):
        while time.monotonic() < end:
            connection.sendall(b"x")
            threading.Event().wait(0.02)


def test_20_slow_clients_are_closed_while_another_is_served(hasty: Running) -> None:
    hold(hasty, 20)


@pytest.mark.slow
def test_500_slow_clients_are_closed_while_another_is_served() -> None:
    with serving(header_s=2.0, body_s=2.0) as running:
        hold(running, 500)


def hold(running: Running, count: int) -> None:
    """Open slow connections, ask as an honest client beside them, see all closed."""

    def time_request() -> float:
        started = time.perf_counter()
        assert running.chat(seed=1, max_tokens=4).status_code == 200
        return time.perf_counter() - started

    idle = min(time_request() for _ in range(5))
    with ExitStack() as stack:
        slow = [
            stack.enter_context(running.raw(text))
            for text in list(STALLS.values()) * (count // len(STALLS))
        ]
        beside = min(time_request() for _ in range(5))
        assert count < 100 or beside < 2 * idle + 0.05  # a watch, in the slow proof alone
        for connection in slow:
            assert is_closed(connection)


def test_a_client_that_reads_nothing_is_closed() -> None:
    with serving(stall_s=0.3, context_length=2048) as running:
        body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1900, "n": 8}
        body |= {"stream": True, "logprobs": True, "top_logprobs": 20, "seed": 1}
        text = json.dumps(body).encode()
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with connection:
            connection.settimeout(20)
            connection.connect(("127.0.0.1", running.port))
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(text) + text)
            running.until(lambda: running.engine.load.running > 0)
            running.until(lambda: not running.server.server_state.connections)
            running.until(lambda: running.engine.load.running == 0)


def test_small_writes_are_sent_at_once(hasty: Running) -> None:
    with hasty.raw(b""):
        hasty.until(lambda: bool(hasty.server.server_state.connections))
        for connection in list(hasty.server.server_state.connections):
            link = connection.transport.get_extra_info("socket")
            assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_idle_connection_can_be_reused(hasty: Running) -> None:
    with hasty.raw(b"") as connection:
        for _ in range(5):
            connection.sendall(HEALTH + b"\r\n")
            answer = b""
            while not answer.endswith(b'{"status":"ok"}'):
                answer += connection.recv(4096)
            threading.Event().wait(0.1)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("reset", [True, False])
def test_a_client_that_leaves_frees_its_rows(stream: bool, reset: bool) -> None:
    with serving(context_length=4096, endless=True) as running:
        body = {"messages": [{"role": "user", "content": "Hello"}], "stream": stream, "n": 8}
        text = json.dumps({**body, "max_tokens": 4000, "temperature": 0}).encode()
        connection = running.raw(HEAD + b"Content-Length: %d\r\n\r\n" % len(text) + text)
        running.until(lambda: running.engine.load.running > 2)
        if reset:
            linger = b"\1\0\0\0\0\0\0\0"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()
        running.until(lambda: running.engine.load.running == 0)
        assert running.engine.load.generated_tokens < 8 * 2000
        sampled = running.engine.load.generated_tokens
        assert running.chat(max_tokens=2, temperature=0).status_code == 200
        assert running.engine.load.generated_tokens == sampled + 2
