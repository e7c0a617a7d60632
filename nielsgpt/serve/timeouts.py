"""A connection that may not stall: uvicorn's, with a clock on what it waits for.

Headers have to be complete `header_s` seconds after their first byte (or after connecting), the
body `body_s` after the headers, and a reader has to take something every `stall_s`. Whoever is late
is cut off. uvicorn itself has no such limits.
"""

import asyncio
import socket
import sys
from typing import Any

import h11
import uvicorn
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from nielsgpt.config.settings import ServeSettings
from nielsgpt.serve.access import HEADER_BYTES
from nielsgpt.serve.api_errors import ApiError


class ServerConfig(uvicorn.Config):
    """uvicorn's own settings, fixed but for what ours say."""

    def __init__(self, app: Any, serve: ServeSettings, grace_s: int) -> None:
        self.serve = serve
        super().__init__(
            app,
            loop="asyncio",
            http=TimedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=grace_s,
            h11_max_incomplete_event_size=HEADER_BYTES,
        )


class TimedProtocol(H11Protocol):
    """One connection."""

    config: ServerConfig
    _awaited: str | None = None  # header, body
    _deadline: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The headers have to come now. Everything unread by the other side counts as a stall."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)
        # Else every second write waits 40 ms for the other side to confirm the first one.
        link: socket.socket = transport.get_extra_info("socket")
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """No clock runs on."""
        self._await(None)
        if self._stall is not None:
            self._stall.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """After what has come, wait for what is missing."""
        super().handle_events()
        self._look()

    def pause_writing(self) -> None:
        """The other side has not taken all: from now on it has to take some."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The other side has taken all."""
        if self._stall is not None:
            self._stall.cancel()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Tell, in the API's shape, that this was no HTTP; called while h11's error is handled."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        status = getattr(sys.exception(), "error_status_hint", 400)
        reply: Response = ApiError(status, "this is no HTTP request that can be served").response
        headers = [*reply.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=bytes(reply.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _look(self) -> None:
        """Set the clock for what the connection waits for now, unless it runs already.

        Between two requests uvicorn's own clock runs, until the first byte.
        """
        their = self.conn.their_state
        begun = bool(self.conn.trailing_data[0]) or self.timeout_keep_alive_task is None
        headers = their is h11.IDLE and begun
        awaited = "body" if their is h11.SEND_BODY else "header" if headers else None
        if awaited != self._awaited:
            self._await(awaited)

    def _await(self, awaited: str | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._awaited = awaited
        seconds = {"header": self.config.serve.header_s, "body": self.config.serve.body_s}
        if awaited is not None:
            self._deadline = self.loop.call_later(seconds[awaited], self.transport.abort)

    def _watch(self, size: int) -> None:
        if self._stall is not None:
            self._stall.cancel()
        self._stall = self.loop.call_later(self.config.serve.stall_s, self._check, size)

    def _check(self, before: int) -> None:
        """Cut off a reader that has taken nothing since."""
        now = self.transport.get_write_buffer_size()
        if now >= before:
            self.transport.abort()
        else:
            self._watch(now)
