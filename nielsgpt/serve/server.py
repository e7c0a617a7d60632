"""The server as a process: a socket, the engine's thread, signals, and an end within seconds."""

import asyncio
import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from nielsgpt.config.settings import ServeSettings
from nielsgpt.errors import RunError, SettingsError
from nielsgpt.inference.batcher import Batcher
from nielsgpt.inference.logprobs import compute_logprobs
from nielsgpt.model.gpt import GPT
from nielsgpt.serve.access import access_policy_for
from nielsgpt.serve.app import app_for
from nielsgpt.serve.engine import InferenceEngine, Scores
from nielsgpt.serve.prepare import ServedModel
from nielsgpt.serve.timeouts import ServerConfig

log = logging.getLogger("nielsgpt")
ENGINE_S, GRACE_S = 2.0, 2  # of the five seconds that an end may take
KEY_VARIABLE = "NIELSGPT_API_KEY"


def key_from(file: Path | None, variable: str | None) -> str | None:
    """The key of a file, else of the environment, else none. Raises SettingsError."""
    if file is None:
        return variable or None
    try:
        key = file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(
            f"the key file {file} cannot be read: {reason}; name another with --api-key-file"
        ) from None
    if not key.isascii() or not key.isprintable() or len(key.split()) != 1:
        raise SettingsError(
            f"the key file {file} must hold one word of ASCII letters; write one into it"
        )
    return key


def bind(serve: ServeSettings, key: str | None, insecure: bool) -> socket.socket:
    """A socket at the configured address.

    Raises SettingsError where others could reach it without a key, and where it cannot be had.
    """
    try:
        kind, _, _, _, address = socket.getaddrinfo(
            serve.host, serve.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise SettingsError(
            f"serve.host {serve.host!r} is no address of this machine; use --host 127.0.0.1"
        ) from None
    if not (ipaddress.ip_address(address[0]).is_loopback or key or insecure):
        raise SettingsError(
            f"at {serve.host} others can reach the model; give a key with --api-key-file or "
            f"{KEY_VARIABLE}, or let everybody in with --insecure"
        )
    try:
        return socket.create_server(address, family=kind, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SettingsError(
            f"cannot listen at {serve.host} port {serve.port} ({reason}); "
            "choose another with --port, or --port 0 for any"
        ) from None


def url_of(listener: socket.socket, host: str) -> str:
    """Where to find the server with a browser on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"


def engine_for(model: GPT, served: ServedModel, serve: ServeSettings) -> InferenceEngine:
    """The engine of a model, not yet started."""

    def score(ids: tuple[int, ...], count: int) -> Scores:
        return compute_logprobs(model, ids, count)

    batcher = Batcher(model, serve.streams)
    return InferenceEngine(batcher, score, served.tokenizer, serve.streams, serve.waiting)


class Server(uvicorn.Server):
    """uvicorn's server with an engine that starts and ends with it."""

    def __init__(
        self,
        engine: InferenceEngine,
        served: ServedModel,
        serve: ServeSettings,
        key: str | None = None,
    ) -> None:
        door = access_policy_for(serve.host, serve.hosts, serve.origins, key)
        self.app = app_for(served, engine, door, serve.body_bytes)
        super().__init__(ServerConfig(self.app, serve, GRACE_S))
        self._engine = engine

    def serve_until_told(self, listener: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT. Raises RunError when the engine failed."""
        self.run([listener])
        if self._engine.failure is not None:
            raise RunError(f"the model failed: {self._engine.failure}")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen and to draw."""
        self._engine.start()
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Whether to end: when told to, or when the engine has failed."""
        return await super().on_tick(counter) or self._engine.failure is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell open requests, let their last bytes go, and end."""
        await asyncio.to_thread(self._engine.stop, ENGINE_S)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the server, and are then done with; uvicorn raises them again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
