"""What the tests of micro share: models in which nothing is zero, and a scenario of a few words."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nielsgpt.micro import scenarios
from nielsgpt.micro.scenarios import Scenario
from nielsgpt.micro.weights import Shape, Weights, sizes

WORDS = "lamp boat keeper tide rope gull storm harbour anchor sail wave net oar fog bell pier"


@pytest.fixture
def lively() -> Callable[..., Weights]:
    """Weights that all matter: a fresh model has two matrices of zeros in each layer."""

    def build(shape: Shape, seed: int = 1, deviation: float = 0.3) -> Weights:
        rng = random.Random(seed)
        return {
            name: [[rng.gauss(0.0, deviation) for _ in range(columns)] for _ in range(rows)]
            for name, (rows, columns) in sizes(shape).items()
        }

    return build


@pytest.fixture
def words(root: Path) -> Callable[..., Scenario]:
    """A scenario on sixteen words in the current folder, with other numbers where given."""
    (root / "words.txt").write_text(WORDS.replace(" ", "\n"), encoding="utf-8")

    def build(**training: Any) -> Scenario:
        tree = {
            "name": "words",
            "data": {"path": "words.txt", "format": "lines"},
            "model": {"n_embd": 8, "n_head": 2, "n_layer": 1, "block_size": 6},
            "training": {"num_steps": 12, **training},
        }
        return scenarios.parse(tree, "test")

    return build
