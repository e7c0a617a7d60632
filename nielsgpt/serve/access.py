"""Access control before every route: the Host, the Origin and the API key.

The guard also turns every error below it into the API's format, adds security headers, and logs one
line for each request.
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

from nielsgpt.serve.api_errors import ApiError, to_api_error

log = logging.getLogger("nielsgpt")
HEADER_BYTES = 16_384
URL_BYTES = 8_192
# A list of header names in a browser's preflight request.
HEADER_NAMES = re.compile(r"[\w!#$%&'*+.^`|~-]+(?:\s*,\s*[\w!#$%&'*+.^`|~-]+)*", re.ASCII)
PUBLIC_PATHS = re.compile(r"/|/health|/static/.*")  # need no key
# A Host header: [::1]:8000, name:8000; or an IPv6 address as in the settings.
HOST = re.compile(r"\[([0-9a-f:.]+)\](?::\d{1,5})?|([^:\[\]]+)(?::\d{1,5})?|([0-9a-f:]+)")
ALLOWED_HEADERS = "Authorization, Content-Type"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
CLIENT_CLOSED_REQUEST = 499
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class AccessPolicy:
    """Decides on requests by their Host, Origin and API key."""

    hosts: frozenset[str]
    any_address: bool = False  # listening at all: DNS rebinding needs a name, not an address
    origins: tuple[str, ...] = ()
    key: bytes | None = None

    def allows_host(self, host: str) -> bool:
        """True if the server answers to this Host header."""
        name = parse_hostname(host)
        if name in self.hosts or name.endswith(".localhost"):
            return True
        with suppress(ValueError):
            return self.any_address and bool(ipaddress.ip_address(name))
        return False

    def allows_origin(self, origin: str, host: str) -> bool:
        """True if a page of this origin may make requests other than GET, HEAD and OPTIONS."""
        return origin in self.origins or origin.partition("://")[2].lower() == host.lower()

    def accepts_key(self, authorization: str) -> bool:
        """True if this Authorization header has the key, compared in constant time."""
        scheme, _, key = authorization.partition(" ")
        is_equal = hmac.compare_digest(key.strip().encode("latin-1", "replace"), self.key or b"")
        return scheme.lower() == "bearer" and is_equal


def make_access_policy(
    host: str, hosts: tuple[str, ...], origins: tuple[str, ...], key: str | None
) -> AccessPolicy:
    """The policy of a server that listens at `host` and also answers to `hosts`."""
    names = {"localhost", "127.0.0.1", "::1", *(parse_hostname(name) for name in (host, *hosts))}
    any_address = host in ("0.0.0.0", "::")
    return AccessPolicy(frozenset(names), any_address, origins, key.encode() if key else None)


def parse_hostname(host: str) -> str:
    """The name in a Host header, without port and brackets; "" if it is malformed."""
    match = HOST.fullmatch(host.lower())
    return next(filter(None, match.groups()), "") if match else ""


class AccessGuard:
    """An ASGI application behind access control.

    `record` is called with the route, the status and the seconds of each request.
    """

    def __init__(
        self, app: ASGIApp, policy: AccessPolicy, record: Callable[[str, int, float], None]
    ) -> None:
        self._app = app
        self._policy = policy
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        start = perf_counter()
        status = CLIENT_CLOSED_REQUEST
        has_started = False
        line = format_request(scope)
        if scope["method"] == "HEAD":  # handled as GET; the protocol below drops the body
            scope = {**scope, "method": "GET"}

        async def send_with_headers(message: Message) -> None:
            nonlocal status, has_started
            if message["type"] == "http.response.start":
                status = message["status"]
                has_started = True
                self._add_headers(scope, MutableHeaders(scope=message))
            await send(message)

        try:
            if (preflight := self._check_access(scope)) is not None:
                await preflight(scope, receive, send_with_headers)
            else:
                await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass
        except Exception as error:
            if not isinstance(error, ApiError):
                log.exception("%s failed", line)
            if has_started:
                raise
            await to_api_error(error).response(scope, receive, send_with_headers)
        finally:
            seconds = perf_counter() - start
            client = (scope.get("client") or ("-",))[0]
            log.info("%s %s %d %.3f s", client, line, status, seconds)
            self._record(getattr(scope.get("route"), "path", "other"), status, seconds)

    def _check_access(self, scope: Scope) -> Response | None:
        """The response to an allowed CORS preflight request, else None. Raises ApiError."""
        _check_size(scope)
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._policy.allows_host(host):
            text = "this server does not answer to that Host; add further names to serve.hosts"
            raise ApiError(403, text)
        is_safe = scope["method"] in SAFE_METHODS
        if origin is not None and not is_safe and not self._policy.allows_origin(origin, host):
            text = (
                "pages of other sites may not call this server; add their origin to serve.origins"
            )
            raise ApiError(403, text)
        if "access-control-request-method" in headers and origin in self._policy.origins:
            return Response(status_code=204)
        needs_key = self._policy.key is not None and not PUBLIC_PATHS.fullmatch(scope["path"])
        if needs_key and not self._policy.accepts_key(headers.get("authorization", "")):
            bearer = {"WWW-Authenticate": "Bearer"}
            text = "this server requires an API key; send Authorization: Bearer KEY"
            raise ApiError(401, text, code="invalid_api_key", headers=bearer)
        return None

    def _add_headers(self, scope: Scope, headers: MutableHeaders) -> None:
        """Add the security headers, and the CORS headers for an allowed origin."""
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        request_headers = Headers(scope=scope)
        origin = request_headers.get("origin")
        if self._policy.origins:
            headers.add_vary_header("Origin")
        if origin in self._policy.origins:
            headers["Access-Control-Allow-Origin"] = str(origin)
            headers["Access-Control-Allow-Methods"] = "GET, POST"
            names = request_headers.get("access-control-request-headers", "")
            is_list = HEADER_NAMES.fullmatch(names)
            headers["Access-Control-Allow-Headers"] = names if is_list else ALLOWED_HEADERS


def _check_size(scope: Scope) -> None:
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > URL_BYTES:
        raise ApiError(414, f"the URL is longer than {URL_BYTES} bytes")
    if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > HEADER_BYTES:
        raise ApiError(431, f"the headers are longer than {HEADER_BYTES} bytes")


def format_request(scope: Scope) -> str:
    """Method and path on one line of ASCII, whatever the client sent, without the query."""
    line = f"{scope['method']} {scope['path'][:200]}"
    return line.encode("unicode_escape").decode("ascii")
