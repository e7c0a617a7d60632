"""Strict request bodies: JSON of limited size without ambiguities.

Two parsers must accept a body: pydantic's refuses invalid UTF-8, lone surrogates, NaN and deep
nesting; Python's, with a hook, duplicate names in an object.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from nielsgpt.config.load import once
from nielsgpt.serve.api_errors import ApiError


class StrictRequest(Request):
    """A request that refuses its body as soon as it is too long or invalid."""

    async def body(self) -> bytes:
        """The bytes of the body. Raises ApiError 413 or 415, or ClientDisconnect."""
        if not hasattr(self, "_body"):
            kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise ApiError(415, "the body must be JSON; send Content-Type: application/json")
            if self.headers.get("content-encoding", "identity") != "identity":
                raise ApiError(415, "the body must not be compressed; leave out Content-Encoding")
            self._body = await self._read_limited(self.app.state.body_bytes)
        return self._body

    async def json(self) -> Any:
        """The parsed body. Raises ApiError 400."""
        return parse_json(await self.body())

    async def _read_limited(self, max_bytes: int) -> bytes:
        too_long = ApiError(413, f"the body is longer than {max_bytes} bytes; send less")
        length = self.headers.get("content-length", "0")
        if len(length) > 18 or int(length) > max_bytes:
            raise too_long
        body = bytearray()
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            if len(body) > max_bytes:
                raise too_long
            if not message.get("more_body"):
                return bytes(body)


class StrictRoute(APIRoute):
    """A route that reads its body as a StrictRequest."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route's handler so that it gets a StrictRequest."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return handle


def parse_json(body: bytes) -> Any:
    """The value of a JSON text. Raises ApiError 400 with the reason."""
    try:
        from_json(body, allow_inf_nan=False)
        return json.loads(body, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:200]
        raise ApiError(400, f"the body is not valid JSON: {reason}", code="invalid_json") from None
