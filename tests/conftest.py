"""What many tests share: tiny settings, a tiny model, a workspace that nothing else uses."""

import errno
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch

from nielsgpt.config import load
from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.model.gpt import GPT
from nielsgpt.tokenizers import sentence_piece
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.tokenizers.byte import ByteTokenizer
from tests.lively import lively as enlivened
from tests.promises.table import summary

hypothesis.settings.register_profile("untimed", deadline=None)  # speed is no matter of tests
hypothesis.settings.load_profile("untimed")

TINY = {
    "name": "tiny",
    "tokenizer": {"kind": "byte"},
    "data": {"primer": {"characters": 60_000, "dialogues": 300}, "val_fraction": 0.1},
    "model": {"n_layer": 2, "n_head": 2, "n_embd": 32, "context_length": 128},
    "training": {
        phase: {
            "max_steps": 6,
            "batch_size": 4,
            "micro_batch_size": 2,
            "warmup_steps": 2,
            "eval_every": 3,
            "eval_batches": 1,
            "checkpoint_every": 2,
            "log_every": 1,
            "learning_rate": 0.003,
        }
        for phase in ("pretrain", "sft")
    }
    | {"report": False},
    "exam": {"items_per_section": 2, "replies": 4},
    "device": {
        "device": "cpu",
        "precision": "fp32",
        "compile": "off",
        "threads": 1,
        "measure": False,
    },
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many promises of the founding documents are kept."""
    terminalreporter.write_line(summary())


@pytest.fixture(autouse=True)
def _own_memory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests measure of the machine is remembered for the tests alone."""
    monkeypatch.setenv("NIELSGPT_CACHE", str(tmp_path_factory.getbasetemp() / "machine"))
    for name in ("PYTHONSAFEPATH", "MPLBACKEND"):  # set by a command for what it starts
        monkeypatch.setenv(name, os.environ.get(name, ""))


@pytest.fixture
def no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered of the machine when the test begins."""
    monkeypatch.setenv("NIELSGPT_CACHE", str(tmp_path / "machine"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def tiny() -> Callable[..., Settings]:
    """Settings of a model that trains in a second, with overrides as a tree."""

    def build(**over: Any) -> Settings:
        return load.validate(load.merge(TINY, over), "test")

    return build


@pytest.fixture
def lively() -> Callable[..., GPT]:
    """A model whose every weight matters: not the zero-initialised echo of a fresh one."""

    def build(variant: str, **shape: Any) -> GPT:
        size = {"n_layer": 2, "n_head": 2, "n_embd": 32, "context_length": 16, **shape}
        model = GPT(ModelSettings(variant=variant, **size), 300)  # type: ignore[arg-type]
        return enlivened(model, std=0.2, seed=7).eval()

    return build


CORPUS = [
    "the keeper lights the lamp",
    "a boat, a rope and 12 coins",
    "\u00e9t\u00e9 na\u00efve \u2581 caf\u00e9",
] * 20


@pytest.fixture(scope="session")
def pieced() -> Tokenizer:
    """A small SentencePiece tokenizer."""
    return sentence_piece.train(CORPUS, 300, "bpe")


@pytest.fixture(params=["byte", "bpe", "unigram"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    """Each kind of tokenizer in turn."""
    if request.param == "byte":
        return ByteTokenizer()
    return sentence_piece.train(CORPUS, 286, request.param)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Has the system refuse to open a file, which it never does where tests run as root."""
    plain = io.open

    def refuse(path: Path) -> None:
        def opened(file: Any, *rest: Any, **more: Any) -> Any:
            if file == path:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return plain(file, *rest, **more)

        monkeypatch.setattr(io, "open", opened)

    return refuse


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
