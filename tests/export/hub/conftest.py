"""A Hub that can be written to, and a process that runs nielsgpt against it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nielsgpt.model.gpt import GPT
from nielsgpt.tokenizers.base import Tokenizer
from tests.export.hub.client import Answer, Client
from tests.export.hub.server import RIGHT, WritableHub
from tests.export.made import save

Run = Callable[..., Answer]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WritableHub, Client]]:
    """The two, running."""
    with WritableHub(tmp_path_factory.mktemp("hub")) as hub, Client(hub) as client:
        yield hub, client


@pytest.fixture
def hub(served: tuple[WritableHub, Client]) -> WritableHub:
    """The Hub, empty and in good health."""
    hub = served[0]
    hub.heal()
    for kept in (hub.requests, hub.repositories, hub.private, hub.lfs, hub.commits):
        kept.clear()
    hub.received = 0
    return hub


@pytest.fixture
def run(served: tuple[WritableHub, Client], hub: WritableHub, tmp_path: Path) -> Run:
    """Runs `nielsgpt hub` in an empty folder, with a token that may write."""

    def call(*words: str, token: str = RIGHT) -> Answer:
        return served[1].run(tmp_path, "hub", *words, token=token)

    return call


@pytest.fixture
def kept(tmp_path: Path, lively: Callable[..., GPT], pieced: Tokenizer) -> GPT:
    """A checkpoint where `nielsgpt chat` looks for one."""
    model = lively("gpt_qk")
    save(tmp_path / "checkpoints/quickstart/best.pt", model, pieced, "quickstart")
    return model
