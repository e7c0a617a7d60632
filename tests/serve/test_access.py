"""Access control: hosts, origins, keys, and the headers of every response."""

import logging
import re
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Mount

from nielsgpt.serve.access import (
    AccessGuard,
    AccessPolicy,
    format_request,
    make_access_policy,
    parse_hostname,
)
from tests.serve.conftest import Running, serving

KEY = "a-key-of-our-own"


@pytest.fixture(scope="module")
def locked() -> Iterator[Running]:
    """A server with a key, another name and a trusted site."""
    with serving(KEY, hosts=("chat.example",), origins=("https://site.example",)) as running:
        yield running


def get(running: Running, path: str = "/health", **headers: str) -> int:
    return running.stranger.get(path, headers=headers).status_code


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost:8000", "127.0.0.1", "127.0.0.1:1", "[::1]"),
        *("[::1]:8000", "chat.localhost", "a.b.localhost:80", "chat.example", "Chat.Example:443"),
    ],
)
def test_the_server_answers_to_its_names(locked: Running, host: str) -> None:
    assert get(locked, Host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.evil.example", "evillocalhost", "127.0.0.1.evil.example"),
        *("chat.example.evil", "notchat.example", "[::2]", "10.0.0.1", "0.0.0.0", "127.0.0.2"),
        *("localhost:8000:1", "localhost:x", "localhost@evil.example", "::1]", "[::1", "[]"),
        *("localhost.", "http://localhost", "localhost/", ":80", "localhost,evil", "*", ".."),
    ],
)
def test_an_unknown_host_is_refused(locked: Running, host: str) -> None:
    for path in ("/", "/health", "/v1/models", "/static/index.html"):
        assert get(locked, path, Host=host) in (400, 403)


def test_a_request_without_a_host_is_refused(locked: Running) -> None:
    for version, status in ((b"1.0", b"403"), (b"1.1", b"400")):
        with locked.raw(b"GET /health HTTP/%s\r\n\r\n" % version) as connection:
            assert connection.recv(4096).split()[1] == status


def test_a_server_on_all_addresses_answers_to_addresses() -> None:
    everywhere, here = (
        make_access_policy("0.0.0.0", (), (), None),
        make_access_policy("127.0.0.1", (), (), None),
    )
    for host in ("192.168.1.5", "192.168.1.5:8000", "[fe80::1]:80"):
        assert everywhere.allows_host(host)
        assert not here.allows_host(host)
    assert not everywhere.allows_host("evil.example")
    assert make_access_policy("192.168.1.5", (), (), None).allows_host("192.168.1.5:8000")
    assert make_access_policy("::1", (), (), None).allows_host("[::1]:8000")


@pytest.mark.parametrize("host", ["a" * 100_000, "[" * 50_000, ":" * 50_000, "1:" * 20_000])
def test_a_long_host_is_parsed_in_linear_time(host: str) -> None:
    assert parse_hostname(host) in ("", host)


def post(running: Running, **headers: str) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    own = {"Authorization": f"Bearer {KEY}", **headers}
    return running.stranger.post("/v1/chat/completions", json=body, headers=own)


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "null", "", "http://localhost.evil.example", "file://"),
        *("http://site.example", "https://site.example.evil", "https://site.example:444"),
        *("http://127.0.0.1:1", "//", "https://[::1", "javascript:alert(1)"),
    ],
)
def test_a_page_of_another_site_may_not_post(locked: Running, origin: str) -> None:
    refused = post(locked, Origin=origin)
    assert refused.status_code == 403
    assert refused.json()["error"]["type"] == "permission_error"
    assert "access-control-allow-origin" not in refused.headers


def test_its_own_page_and_an_allowed_one_may_post(locked: Running) -> None:
    own = post(locked, Origin=locked.url)
    assert own.status_code == 200
    assert "access-control-allow-origin" not in own.headers
    trusted = post(locked, Origin="https://site.example")
    assert trusted.status_code == 200
    assert trusted.headers["access-control-allow-origin"] == "https://site.example"
    assert "Origin" in trusted.headers["vary"]


def preflight(running: Running, origin: str, names: str | None = None) -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    headers |= {"Access-Control-Request-Headers": names} if names is not None else {}
    return running.stranger.options("/v1/chat/completions", headers=headers)


def test_only_an_allowed_page_gets_cors_headers(locked: Running, tiny_server: Running) -> None:
    first_piece = preflight(locked, "https://site.example")
    assert first_piece.status_code == 204
    assert first_piece.headers["access-control-allow-headers"] == "Authorization, Content-Type"
    for running, origin in ((locked, "https://evil.example"), (tiny_server, "https://a.example")):
        refused = preflight(running, origin)
        assert refused.status_code in (401, 405)
        assert not [name for name in refused.headers if name.startswith("access-control")]


def test_an_allowed_page_may_send_the_headers_that_it_names(locked: Running) -> None:
    def allowed(names: str, origin: str = "https://site.example") -> str | None:
        first_piece = preflight(locked, origin, names)
        return first_piece.headers.get("access-control-allow-headers")

    sdk = "authorization,content-type,x-stainless-arch, x-stainless-retry-count"
    assert allowed(sdk) == sdk
    assert allowed(sdk, "https://evil.example") is None
    for senseless in ("", "a b", "a,,b", "a:b", ",", '"'):
        assert allowed(senseless) == "Authorization, Content-Type"


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/v1/models/tiny", "/metrics"])
def test_a_head_is_a_get_without_its_body(tiny_server: Running, path: str) -> None:
    line = b"%s " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\n"
    head, body = tiny_server.exchange(line % b"HEAD")
    whole, _ = tiny_server.exchange(line % b"GET")
    assert body == b""
    assert head.split()[1] == whole.split()[1] == b"200"
    names = [{row.partition(b":")[0] for row in head.split(b"\r\n")[1:]} for head in (head, whole)]
    assert names[0] == names[1]


def test_a_head_of_a_post_route_is_refused_like_a_get(
    locked: Running, tiny_server: Running
) -> None:
    assert tiny_server.client.head("/v1/chat/completions").status_code == 405
    assert tiny_server.client.head("/nowhere").status_code == 404
    assert locked.stranger.head("/v1/models").status_code == 401
    assert locked.stranger.head("/health").status_code == 200


def paths(guard: AccessGuard) -> list[tuple[str, str]]:
    """Every method and path of the application."""
    app = guard._app
    assert isinstance(app, FastAPI)
    routes = [("GET", "/openapi.json"), ("GET", "/v1/models/tiny")]
    for path, methods in app.openapi()["paths"].items():
        routes += [(method.upper(), path) for method in methods]
    for route in app.routes:
        if isinstance(route, Mount):
            routes.append(("GET", f"{route.path}/index.html"))
        elif getattr(route, "path", None) == "/":
            routes.append(("GET", "/"))
    return [(method, path.replace("{name}", "tiny")) for method, path in sorted(set(routes))]


def test_every_route_but_the_page_and_health_requires_the_key(locked: Running) -> None:
    opened, closed = set(), set()
    for method, path in paths(locked.server.app):
        for header in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {KEY}"},
            {"Authorization": KEY},
            {"Authorization": f"Bearer {KEY[:-1]}"},
            {"Authorization": f"Bearer {KEY}x"},
            {"Authorization": "Bearer"},
            {"X-Api-Key": KEY},
        ):
            status = locked.stranger.request(method, path, headers=header).status_code
            (closed if status == 401 else opened).add(path)
        good = {"Authorization": f"Bearer {KEY}"}
        assert locked.stranger.request(method, path, headers=good).status_code != 401
    assert opened == {"/", "/health", "/static/index.html"}
    assert opened.isdisjoint(closed)
    assert {"/v1/chat/completions", "/v1/completions", "/v1/models", "/metrics"} <= closed


@pytest.mark.parametrize(
    "path", ["//", "/static", "/health/", "/HEALTH", "/static%2f", "/v1/../v1/models"]
)
def test_a_path_that_only_looks_public_requires_the_key(locked: Running, path: str) -> None:
    line = b"GET %s HTTP/1.1\r\nHost: localhost\r\n" % path.encode()
    assert locked.exchange(line)[0].split()[1] in (b"401", b"404")


def test_any_bytes_can_be_sent_as_a_key() -> None:
    door = AccessPolicy(frozenset(), key=KEY.encode())
    assert door.accepts_key(f"Bearer {KEY}")
    assert door.accepts_key(f"bearer  {KEY} ")
    for wrong in ("", "Bearer", "Bearer \xff\u20ac", f"Bearer {KEY} {KEY}", f"Bearer{KEY}"):
        assert not door.accepts_key(wrong)


def test_every_response_has_the_security_headers(tiny_server: Running) -> None:
    for path in ("/", "/health", "/nowhere", "/v1/models", "/static/nothing"):
        headers = tiny_server.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'; ")
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/docs", 404),
        ("GET", "/redoc", 404),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/static/index.html", 405),
        ("PROPFIND", "/", 405),
    ],
)
def test_an_unknown_path_or_method_is_an_api_error(
    tiny_server: Running, method: str, path: str, status: int
) -> None:
    reply = tiny_server.client.request(method, path)
    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}


def test_too_long_urls_and_headers_are_refused(tiny_server: Running) -> None:
    line = b"GET /health?%s HTTP/1.1\r\nHost: localhost\r\n"
    assert tiny_server.exchange(line % (b"x" * 9_000))[0].split()[1] == b"414"
    for size in (16_384, 17_000, 100_000):
        head, body = tiny_server.exchange(line % b"" + b"X-Long: " + b"x" * size + b"\r\n")
        assert head.split()[1] == b"431"
        assert b'"error"' in body


@pytest.mark.parametrize(
    "sent",
    [b"hello\r\n\r\n", b"\x16\x03\x01\x02", b"GET / HTTP/x\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n"],
)
def test_malformed_http_is_refused(tiny_server: Running, sent: bytes) -> None:
    with tiny_server.raw(sent + b"\r\n\r\n") as connection:
        answer = connection.recv(4096)
    assert answer.split()[1] == b"400"
    assert answer.endswith(b'"param":null,"code":null}}') or b"400" in answer


def test_a_log_line_is_one_line_without_the_key(
    locked: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nielsgpt")
    locked.get("/v1/models")
    locked.client.get("/v1/models", params={"key": KEY})
    target = b"/%0d%0aHTTP%1b%5b31m%E2%80%AE%00"
    locked.exchange(b"GET %s HTTP/1.1\r\nHost: localhost\r\n" % target)
    locked.until(lambda: len(caplog.messages) == 3)
    for line in caplog.messages:
        assert re.fullmatch(r"127\.0\.0\.1 GET [\x21-\x7e]+ \d{3} \d+\.\d{3} s", line)
        assert KEY not in line
    assert r"/\r\nHTTP\x1b[31m\u202e\x00 401" in caplog.messages[2]
    assert len(format_request({"method": "GET", "path": "\n" * 10_000})) < 500
