"""The server process: its socket, the engine's thread, signals, and a shutdown within seconds."""

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
from nielsgpt.inference.generate import compute_logprobs
from nielsgpt.model.gpt import GPT
from nielsgpt.serve.access import make_access_policy
from nielsgpt.serve.app import build_app
from nielsgpt.serve.engine import InferenceEngine, PromptLogprobs
from nielsgpt.serve.prepare import ServedModel
from nielsgpt.serve.timeouts import ServerConfig

log = logging.getLogger("nielsgpt")
ENGINE_STOP_S = 2.0  # of the five seconds that a shutdown may take
CONNECTIONS_STOP_S = 2
KEY_VARIABLE = "NIELSGPT_API_KEY"


def read_key(file: Path | None, variable: str | None) -> str | None:
    """The API key of the file, else of the environment variable, or None. Raises SettingsError."""
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
            f"the key file {file} must contain one word of printable ASCII; write one into it"
        )
    return key


def bind(serve: ServeSettings, key: str | None, insecure: bool) -> socket.socket:
    """A socket that listens at the configured address.

    Raises SettingsError if other machines could reach it without a key, or if it cannot be opened.
    """
    try:
        kind, _, _, _, address = socket.getaddrinfo(
            serve.host, serve.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise SettingsError(
            f"serve.host {serve.host!r} is not an address of this machine; use --host 127.0.0.1"
        ) from None
    if not (ipaddress.ip_address(address[0]).is_loopback or key or insecure):
        raise SettingsError(
            f"at {serve.host} others can reach the model; set a key with --api-key-file or "
            f"{KEY_VARIABLE}, or allow everybody with --insecure"
        )
    try:
        return socket.create_server(address, family=kind, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SettingsError(
            f"cannot listen on {serve.host} port {serve.port} ({reason}); "
            "choose another with --port, or --port 0 for any"
        ) from None


def format_url(listener: socket.socket, host: str) -> str:
    """The URL of the server for a browser on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"


def build_engine(model: GPT, served: ServedModel, serve: ServeSettings) -> InferenceEngine:
    """The engine of a model, not yet started."""

    def score_prompt(ids: tuple[int, ...], count: int) -> PromptLogprobs:
        return compute_logprobs(model, ids, count)

    batcher = Batcher(model, serve.streams)
    return InferenceEngine(batcher, score_prompt, served.tokenizer, serve.streams, serve.waiting)


class Server(uvicorn.Server):
    """uvicorn's server, with an engine that starts and stops with it."""

    def __init__(
        self,
        engine: InferenceEngine,
        served: ServedModel,
        serve: ServeSettings,
        key: str | None = None,
    ) -> None:
        policy = make_access_policy(serve.host, serve.hosts, serve.origins, key)
        self.app = build_app(served, engine, policy, serve.body_bytes)
        super().__init__(ServerConfig(self.app, serve, CONNECTIONS_STOP_S))
        self._engine = engine

    def serve_until_stopped(self, listener: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT. Raises RunError if the engine fails."""
        self.run([listener])
        if self._engine.failure is not None:
            raise RunError(f"the model failed: {self._engine.failure}")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the engine, then listen."""
        self._engine.start()
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """True to shut down: on a signal, or if the engine has failed."""
        return await super().on_tick(counter) or self._engine.failure is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop the engine, which sends open requests an error, then close the connections."""
        await asyncio.to_thread(self._engine.stop, ENGINE_STOP_S)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop the server; unlike in uvicorn, they are not raised again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
