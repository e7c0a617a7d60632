"""A server of a tiny random model: real sockets, real uvicorn, its own thread."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import torch

from nielsgpt.config.settings import GenerationSettings, ModelSettings, ServeSettings
from nielsgpt.model.gpt import GPT
from nielsgpt.serve import server
from nielsgpt.serve.engine import InferenceEngine
from nielsgpt.serve.prepare import ServedModel
from nielsgpt.serve.server import Server
from nielsgpt.tokenizers.byte import ByteTokenizer
from tests.lively import lively

CONTEXT = 256
GENERATION = GenerationSettings(max_new_tokens=12, temperature=1.0, top_k=0)


def lively_model(context_length: int = CONTEXT, endless: bool = False) -> GPT:
    """A model whose random weights say something; an endless one never ends when it is greedy."""
    shape = ModelSettings(n_layer=2, n_head=2, n_embd=16, context_length=context_length, tied=False)
    model = lively(GPT(shape, ByteTokenizer.vocab_size).eval())
    if endless:
        with torch.no_grad():
            model.unembedding.weight[ByteTokenizer().specials.end] = 0.0
    return model


@dataclass
class Running:
    """A server that runs, and how to reach it."""

    model: GPT
    served: ServedModel
    engine: InferenceEngine
    url: str
    port: int
    server: Server
    key: str | None = None
    client: httpx.Client = field(init=False)
    stranger: httpx.Client = field(init=False)  # knows no key

    def __post_init__(self) -> None:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        self.stranger = httpx.Client(base_url=self.url)
        limits = httpx.Limits(max_connections=200)
        self.client = httpx.Client(base_url=self.url, headers=headers, limits=limits, timeout=60)

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.client.post(path, **({"json": body} if more == {} else more))

    def chat(self, text: str = "Hello", **over: Any) -> httpx.Response:
        messages = [{"role": "user", "content": text}]
        return self.post("/v1/chat/completions", {"messages": messages, **over})

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def raw(self, text: bytes) -> socket.socket:
        """A connection on which these bytes were sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(text)
        return connection

    def exchange(self, head: bytes) -> tuple[bytes, bytes]:
        """The head and the body of the answer to a request without a body."""
        answer = b""
        with self.raw(head + b"Connection: close\r\n\r\n") as connection:
            while piece := connection.recv(65_536):
                answer += piece
        before, _, body = answer.partition(b"\r\n\r\n")
        return before, body

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for what has to come true within seconds."""
        end = time.monotonic() + 10
        while not true():
            assert time.monotonic() < end, "it did not come true"
            threading.Event().wait(0.005)


@contextmanager
def serving(
    key: str | None = None, context_length: int = CONTEXT, endless: bool = False, **over: Any
) -> Iterator[Running]:
    """A server on any free port."""
    settings = ServeSettings(port=0, **over)
    model = lively_model(context_length, endless)
    served = ServedModel.create("tiny", "fp_tiny", context_length, ByteTokenizer(), GENERATION)
    engine = server.build_engine(model, served, settings)
    running = server.Server(engine, served, settings, key)
    with server.bind(settings, key, False) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=running.run, args=([listener],), daemon=True)
        thread.start()
        tried = Running(
            model, served, engine, server.format_url(listener, settings.host), port, running, key
        )
        tried.until(lambda: running.started)
        try:
            yield tried
        finally:
            tried.client.close()
            tried.stranger.close()
            running.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def tiny_server() -> Iterator[Running]:
    """A server as it is by default; whatever tests do to it, it still answers after them."""
    with serving() as running:
        yield running
        assert running.chat().status_code == 200
        assert running.engine.failure is None


def events(text: str) -> list[Any]:
    """The values of server-sent events; [DONE] as a string."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]
