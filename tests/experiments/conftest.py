"""A job that a second is enough for."""

from collections.abc import Callable
from typing import Any

import pytest

from nielsgpt.config.settings import ModelSettings
from nielsgpt.experiments.job import TrialJob
from nielsgpt.system.device import ExecutionConfig

SHAPE = ModelSettings(n_layer=2, n_head=2, n_embd=32, context_length=16)
ENGINE = ExecutionConfig("cpu", "fp32", "plain", False, 1, 2)


@pytest.fixture
def job() -> Callable[..., TrialJob]:
    """A tiny job, with changes."""

    def build(**over: Any) -> TrialJob:
        plain = {
            "shape": SHAPE,
            "vocab_size": 64,
            "batch_size": 4,
            "optimizer": "adamw",
            "activation_checkpointing": False,
            "engine": ENGINE,
            "seconds": 0.05,
        }
        return TrialJob(**{**plain, **over})

    return build
