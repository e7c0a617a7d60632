"""A model that was trained once, to be copied and then spoilt."""

import shutil
from pathlib import Path

import pytest
import torch

from nielsgpt.config import load
from nielsgpt.config.settings import Settings
from nielsgpt.data.cache import blocks
from nielsgpt.pipeline import pipeline
from nielsgpt.system.workspace import Workspace
from tests.conftest import TINY

OVER = {
    "tokenizer": {"kind": "bpe", "vocab_size": 320},
    "data": {"primer": {"characters": 40_000, "dialogues": 150}, "workers": 1},
}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_DOCUMENTS", 20)


@pytest.fixture(scope="session")
def settings() -> Settings:
    """A model that trains in a second, with a trained tokenizer."""
    return load.validate(load.merge(TINY, OVER), "test")


@pytest.fixture(scope="session")
def examined(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> Path:
    """A folder in which its whole pipeline has run."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("examined")
    pipeline.run(Workspace(folder, settings))
    return folder


@pytest.fixture
def copy(examined: Path, tmp_path: Path, settings: Settings) -> Workspace:
    """A copy of it that may be spoilt."""
    return Workspace(shutil.copytree(examined, tmp_path / "copy"), settings)
