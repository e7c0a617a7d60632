"""model.json: a trained model in one file, the same for every backend, readable by every backend.

    {"uchars": ["a", "b"], "n_embd": 16, "n_head": 4, "n_layer": 1, "block_size": 8,
     "vocab_size": 3, "state_dict": {"wte": [[0.1, ...], ...], "wpe": ..., ...}}

The matrices and their sizes are those of `weights`. A number is written with as many digits as it
takes to read the same number again.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nielsgpt.micro.documents import Alphabet
from nielsgpt.micro.errors import MicroError, MicroRunError
from nielsgpt.micro.files import read_text, write_text
from nielsgpt.micro.weights import Shape, Weights, sizes

SHAPE = ("n_embd", "n_head", "n_layer", "block_size", "vocab_size")


@dataclass(frozen=True)
class Saved:
    """A trained model, apart from any backend."""

    alphabet: Alphabet
    shape: Shape
    weights: Weights


def model_path(root: Path, scenario: str) -> Path:
    """The path of a scenario's model."""
    return root / "models" / "micro" / scenario / "model.json"


def save(path: Path, model: Saved) -> None:
    """Write the model, whole or not at all. Raises MicroRunError when a weight is not finite."""
    tree = {
        "uchars": list(model.alphabet.characters),
        **dataclasses.asdict(model.shape),
        "state_dict": model.weights,
    }
    try:
        text = json.dumps(tree, indent=0, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise MicroRunError(
            f"the weights are not finite, so {path} stays as it was; lower training.learning_rate"
        ) from None
    write_text(path, text + "\n")


def load(path: Path, makes_it: str) -> Saved:
    """Read a model. Raises MicroError that ends with `makes_it`, the way to have one."""
    text = read_text(path, makes_it)
    try:
        return _parsed(json.loads(text))
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else error
        raise MicroError(f"{path} is not a model of nielsgpt micro ({what}); {makes_it}") from None


def _parsed(tree: Any) -> Saved:
    shape = Shape(**{name: int(tree[name]) for name in SHAPE})
    alphabet, matrices = Alphabet(tuple(tree["uchars"])), tree["state_dict"]
    if min(dataclasses.astuple(shape)) < 1 or shape.n_embd % shape.n_head:
        raise ValueError(f"there is no model of {shape}")
    if alphabet.vocab_size != shape.vocab_size or any(len(c) != 1 for c in alphabet.characters):
        raise ValueError(f"uchars are not {shape.vocab_size - 1} characters")
    if len(matrices) != 3 + 6 * shape.n_layer:
        raise ValueError(f"{len(matrices)} matrices are not those of {shape.n_layer} layers")
    table = sizes(shape).items()
    return Saved(
        alphabet, shape, {name: _matrix(name, matrices[name], *size) for name, size in table}
    )


def _matrix(name: str, rows: Any, height: int, width: int) -> list[list[float]]:
    matrix = [[float(number) for number in row] for row in rows]
    if len(matrix) != height or any(len(row) != width for row in matrix):
        raise ValueError(f"{name} is not {height} by {width}")
    if not all(math.isfinite(number) for row in matrix for number in row):
        raise ValueError(f"{name} is not finite")
    return matrix
