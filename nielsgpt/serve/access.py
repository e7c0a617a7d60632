"""What stands before every route: who may call, by what name, from which page, with which key.

It answers what it refuses, turns every error below into the API's shape, adds the headers that keep
a page safe, and writes one line for each request.
"""

import hmac
import ipaddress
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nielsgpt.serve.api_errors import ApiError, error_response

log = logging.getLogger("nielsgpt")
HEADER_BYTES, URL_BYTES = 16_384, 8_192
# Names of headers, as a browser lists them before it lets a page send them.
ASKED_HEADERS = re.compile(r"[\w!#$%&'*+.^`|~-]+(?:\s*,\s*[\w!#$%&'*+.^`|~-]+)*", re.ASCII)
OPEN = re.compile(r"/|/health|/static/.*")  # without a key
# A Host header: [::1]:8000, name:8000; or an address of IPv6 as the settings spell it.
NAME = re.compile(r"\[([0-9a-f:.]+)\](?::\d{1,5})?|([^:\[\]]+)(?::\d{1,5})?|([0-9a-f:]+)")
ALLOWED_HEADERS = "Authorization, Content-Type"
READING = ("GET", "HEAD", "OPTIONS")
CLOSED_BY_CLIENT = 499
POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class AccessPolicy:
    """Who is let in: by Host name, by the page that asks, by key."""

    hosts: frozenset[str]
    any_address: bool = False  # bound to all: an address is no name that can be rebound
    origins: tuple[str, ...] = ()
    key: bytes | None = None

    def knows(self, host: str) -> bool:
        """Whether the server may be called by this Host."""
        name = hostname(host)
        if name in self.hosts or name.endswith(".localhost"):
            return True
        with suppress(ValueError):
            return self.any_address and bool(ipaddress.ip_address(name))
        return False

    def trusts(self, origin: str, host: str) -> bool:
        """Whether a page of this origin may make a request with effect."""
        return origin in self.origins or origin.partition("://")[2].lower() == host.lower()

    def opens(self, authorization: str) -> bool:
        """Whether this header holds the key, in constant time."""
        scheme, _, given = authorization.partition(" ")
        right = hmac.compare_digest(given.strip().encode("latin-1", "replace"), self.key or b"")
        return scheme.lower() == "bearer" and right


def access_policy_for(
    host: str, hosts: tuple[str, ...], origins: tuple[str, ...], key: str | None
) -> AccessPolicy:
    """The door of a server that is bound to this host."""
    known = {"localhost", "127.0.0.1", "::1", *(hostname(name) for name in (host, *hosts))}
    any_address = host in ("0.0.0.0", "::")
    return AccessPolicy(frozenset(known), any_address, origins, key.encode() if key else None)


def hostname(host: str) -> str:
    """The name in a Host header, without port and brackets; "" where there is none."""
    found = NAME.fullmatch(host.lower())
    return next(filter(None, found.groups()), "") if found else ""


class AccessGuard:
    """The application behind its door; `note` is told route, status and seconds of each request."""

    def __init__(
        self, app: ASGIApp, door: AccessPolicy, note: Callable[[str, int, float], None]
    ) -> None:
        self._app, self._door, self._note = app, door, note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started, status = perf_counter(), CLOSED_BY_CLIENT
        answered, line = False, log_line(scope)
        if scope["method"] == "HEAD":  # answered as GET; the protocol below leaves out the body
            scope = {**scope, "method": "GET"}

        async def sent(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                self._dress(scope, MutableHeaders(scope=message))
            await send(message)

        try:
            if (allowed := self._admit(scope)) is not None:
                await allowed(scope, receive, sent)
            else:
                await self._app(scope, receive, sent)
        except ClientDisconnect:
            pass
        except Exception as error:
            if not isinstance(error, ApiError):
                log.exception("%s failed", line)
            if answered:
                raise
            await error_response(error).response(scope, receive, sent)
        finally:
            seconds = perf_counter() - started
            client = (scope.get("client") or ("-",))[0]
            log.info("%s %s %d %.3f s", client, line, status, seconds)
            self._note(getattr(scope.get("route"), "path", "other"), status, seconds)

    def _admit(self, scope: Scope) -> Response | None:
        """The answer to a page that asks whether it may, else None. Raises Refusal."""
        headers, reading = Headers(scope=scope), scope["method"] in READING
        _check_size(scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._door.knows(host):
            raise ApiError(403, "this server is not called so; serve.hosts names further hosts")
        if origin is not None and not reading and not self._door.trusts(origin, host):
            raise ApiError(403, "pages of other sites may not call; serve.origins names those")
        if "access-control-request-method" in headers and origin in self._door.origins:
            return Response(status_code=204)
        locked = self._door.key is not None and not OPEN.fullmatch(scope["path"])
        if locked and not self._door.opens(headers.get("authorization", "")):
            bearer = {"WWW-Authenticate": "Bearer"}
            text = "this server wants its key; send Authorization: Bearer KEY"
            raise ApiError(401, text, code="invalid_api_key", headers=bearer)
        return None

    def _dress(self, scope: Scope, headers: MutableHeaders) -> None:
        """Put on a reply the headers that keep a page safe, and those for a trusted one."""
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        asked = Headers(scope=scope)
        origin = asked.get("origin")
        if self._door.origins:
            headers.add_vary_header("Origin")
        if origin in self._door.origins:
            headers["Access-Control-Allow-Origin"] = str(origin)
            headers["Access-Control-Allow-Methods"] = "GET, POST"
            names = asked.get("access-control-request-headers", "")
            known = ASKED_HEADERS.fullmatch(names)
            headers["Access-Control-Allow-Headers"] = names if known else ALLOWED_HEADERS


def _check_size(scope: Scope) -> None:
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > URL_BYTES:
        raise ApiError(414, f"the URL is longer than {URL_BYTES} bytes")
    if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > HEADER_BYTES:
        raise ApiError(431, f"the headers are longer than {HEADER_BYTES} bytes")


def log_line(scope: Scope) -> str:
    """Method and path on one line of plain characters, whatever the client sent; no query."""
    line = f"{scope['method']} {scope['path'][:200]}"
    return line.encode("unicode_escape").decode("ascii")
