"""A job that a second is enough for."""

from collections.abc import Callable
from typing import Any

import pytest

from nielsgpt.bench.job import Job
from nielsgpt.device import Engine
from nielsgpt.settings import ModelSettings

SHAPE = ModelSettings(n_layer=2, n_head=2, n_embd=32, context_length=16)
ENGINE = Engine("cpu", "fp32", "plain", False, 1, 2)


@pytest.fixture
def job() -> Callable[..., Job]:
    """A tiny job, with changes."""

    def build(**over: Any) -> Job:
        plain = {
            "shape": SHAPE,
            "vocab_size": 64,
            "batch_size": 4,
            "optimizer": "adamw",
            "activation_checkpointing": False,
            "engine": ENGINE,
            "seconds": 0.05,
        }
        return Job(**{**plain, **over})

    return build
