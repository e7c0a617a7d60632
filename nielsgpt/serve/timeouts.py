"""Timeouts for slow clients, which uvicorn lacks.

Headers must be complete `header_s` seconds after their first byte (or after connecting), the body
`body_s` seconds after the headers, and a client must read something every `stall_s` seconds.
Otherwise the connection is closed.
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
    """uvicorn's settings: fixed, except for ours."""

    def __init__(self, app: Any, serve: ServeSettings, shutdown_s: int) -> None:
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
            timeout_graceful_shutdown=shutdown_s,
            h11_max_incomplete_event_size=HEADER_BYTES,
        )


class TimedProtocol(H11Protocol):
    """One connection with deadlines."""

    config: ServerConfig
    _awaited: str | None = None  # "header" or "body"
    _deadline: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline for the headers; count all bytes that the client has not read."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)
        # Otherwise every second write waits 40 ms for the client to acknowledge the first one.
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._update_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all timers."""
        self._start_deadline(None)
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Handle what has arrived, then wait for what is missing."""
        super().handle_events()
        self._update_deadline()

    def pause_writing(self) -> None:
        """The client has unread bytes: start the stall timer."""
        super().pause_writing()
        self._start_stall_timer(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client has read everything."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse malformed HTTP in the API's format; called while h11's error is handled."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        status = getattr(sys.exception(), "error_status_hint", 400)
        response: Response = ApiError(status, "malformed HTTP request").response
        headers = [*response.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _update_deadline(self) -> None:
        """Start the deadline for what the connection waits for, unless it is running.

        Between two requests, uvicorn's keep-alive timeout applies until the first byte.
        """
        client_state = self.conn.their_state
        has_begun = bool(self.conn.trailing_data[0]) or self.timeout_keep_alive_task is None
        awaited = None
        if client_state is h11.SEND_BODY:
            awaited = "body"
        elif client_state is h11.IDLE and has_begun:
            awaited = "header"
        if awaited != self._awaited:
            self._start_deadline(awaited)

    def _start_deadline(self, awaited: str | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._awaited = awaited
        seconds = {"header": self.config.serve.header_s, "body": self.config.serve.body_s}
        if awaited is not None:
            self._deadline = self.loop.call_later(seconds[awaited], self.transport.abort)

    def _start_stall_timer(self, unread: int) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        self._stall_timer = self.loop.call_later(
            self.config.serve.stall_s, self._check_stall, unread
        )

    def _check_stall(self, unread_before: int) -> None:
        """Close the connection if the client has read nothing since."""
        unread = self.transport.get_write_buffer_size()
        if unread >= unread_before:
            self.transport.abort()
        else:
            self._start_stall_timer(unread)
