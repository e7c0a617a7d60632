"""The body of a request: JSON of a limited size in which nothing is ambiguous.

Two parsers agree before anything is believed: pydantic's refuses what is no UTF-8, lone surrogates,
NaN and depth; Python's, with a hook, a name that an object holds twice.
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
    """A request whose body is refused as soon as it is seen to be too long or no sound JSON."""

    async def body(self) -> bytes:
        """The bytes of the body. Raises Refusal 413 or 415, or ClientDisconnect."""
        if not hasattr(self, "_body"):
            kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise ApiError(415, "the body must be JSON; send Content-Type: application/json")
            if self.headers.get("content-encoding", "identity") != "identity":
                raise ApiError(415, "the body must not be compressed; leave out Content-Encoding")
            self._body = await self._limited(self.app.state.body_bytes)
        return self._body

    async def json(self) -> Any:
        """The body's value. Raises Refusal 400."""
        return parse(await self.body())

    async def _limited(self, most: int) -> bytes:
        refusal = ApiError(413, f"the body is longer than {most} bytes; send less")
        announced = self.headers.get("content-length", "0")
        if len(announced) > 18 or int(announced) > most:
            raise refusal
        body = bytearray()
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            if len(body) > most:
                raise refusal
            if not message.get("more_body"):
                return bytes(body)


class StrictRoute(APIRoute):
    """A route that reads its body so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of the route, given a StrictRequest."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strictly


def parse(body: bytes) -> Any:
    """The value of the JSON text. Raises Refusal 400 saying what is wrong with it."""
    try:
        from_json(body, allow_inf_nan=False)
        return json.loads(body, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:200]
        raise ApiError(400, f"the body is no sound JSON: {reason}", code="invalid_json") from None
