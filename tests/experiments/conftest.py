"""A trial that takes less than a second."""

from collections.abc import Callable
from typing import Any

import pytest

from nielsgpt.config.settings import ModelSettings
from nielsgpt.experiments.trial import TrialJob
from nielsgpt.system.device import ExecutionConfig

SHAPE = ModelSettings(n_layer=2, n_head=2, n_embd=32, context_length=16)
EXECUTION = ExecutionConfig("cpu", "fp32", "plain", False, 1, 2)


@pytest.fixture
def job() -> Callable[..., TrialJob]:
    """A function that makes a tiny job, with changes."""

    def build(**changes: Any) -> TrialJob:
        defaults = {
            "shape": SHAPE,
            "vocab_size": 64,
            "batch_size": 4,
            "optimizer": "adamw",
            "activation_checkpointing": False,
            "execution": EXECUTION,
            "seconds": 0.05,
        }
        return TrialJob(**{**defaults, **changes})

    return build
