"""A scenario: which text, which model, how it is trained; one JSON file under configs/micro/.

    {"name": "names", "description": "Invents first names.",
     "data": {"path": "data/micro/names.txt", "format": "lines"},
     "model": {"n_embd": 16, "n_head": 4, "n_layer": 1, "block_size": 8},
     "training": {"num_steps": 500}}

Fields that are left out keep their defaults; the meaning of each stands beside it below.
"""

import dataclasses
import difflib
import json
import math
import re
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from nielsgpt.micro.adam import DECAYS
from nielsgpt.micro.backends import BACKENDS
from nielsgpt.micro.errors import MicroError
from nielsgpt.micro.files import read_text

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "micro"
DTYPES = ("float64", "float32")
NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
T = TypeVar("T")


def knob(
    meaning: str, default: Any = MISSING, least: float | None = None, among: tuple[str, ...] = ()
) -> Any:
    """A field with its meaning, and what its values are bound to."""
    limits = {"meaning": meaning, "least": least, "among": among}
    return field(default=default, metadata=limits)


@dataclass(frozen=True, kw_only=True)
class Data:
    """The text and how it becomes documents."""

    path: str = knob("the file, under the folder of your work (NIELSGPT_ROOT, else the current)")
    format: str = knob("lines: a document is a line; chunked: a window", among=("lines", "chunked"))
    download_url: str | None = knob("where `nielsgpt micro download` fetches it", None)
    invented: bool = knob("without the file, train on names that nielsgpt invents", False)
    chunk_size: int = knob("characters of a window", 128, least=2)
    chunk_overlap: int = knob("characters that neighbouring windows share", 64, least=0)
    trailing_bos: bool = knob("a document ends with BOS, too, so that the model learns to", True)


@dataclass(frozen=True, kw_only=True)
class Model:
    """The shape of the model, without the vocabulary, which the text decides."""

    n_embd: int = knob("width", 16, least=1)
    n_head: int = knob("attention heads in a layer; divides the width", 4, least=1)
    n_layer: int = knob("layers", 1, least=1)
    block_size: int = knob("tokens that the model sees at once", 8, least=1)


@dataclass(frozen=True, kw_only=True)
class Training:
    """The numbers of training."""

    num_steps: int = knob("documents to train on", 500, least=1)
    learning_rate: float = knob("of the first update; it falls to 0", 0.01, least=0.0)
    decay: str = knob("how it falls", "cosine", among=tuple(DECAYS))
    beta1: float = knob("Adam: memory of the mean gradient", 0.9, least=0.0)
    beta2: float = knob("Adam: memory of its square", 0.95, least=0.0)
    eps_adam: float = knob("Adam: keeps the division from 0 by 0", 1e-8, least=1e-300)
    grad_accum: int = knob("documents of one update", 1, least=1)
    seed: int = knob("of the first weights and of the order of the documents", 42)
    backend: str = knob("who computes", "numpy_batched", among=tuple(BACKENDS))
    dtype: str = knob("of the numbers; python has float64 alone", "float64", among=DTYPES)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Everything one model is made from."""

    name: str = knob("names the folder of the model")
    description: str = knob("one line for people", "")
    data: Data
    model: Model = Model()
    training: Training = Training()


def names() -> list[str]:
    """The scenarios that come with nielsgpt."""
    return sorted(path.stem for path in CONFIGS.glob("*.json"))


def load(name: str, config: Path | None = None) -> Scenario:
    """The scenario of this name, or the one in your own file. Raises MicroError."""
    if config is None and name not in names():
        raise MicroError(
            f"unknown scenario {name!r}{meant(name, names())}; choose one of {', '.join(names())}, "
            "and --config FILE takes one of your own"
        )
    path = config or CONFIGS / f"{name}.json"
    try:
        tree = json.loads(read_text(path, "copy one from configs/micro and change it"))
    except json.JSONDecodeError as error:
        raise MicroError(f"{path} is not JSON: line {error.lineno}: {error.msg}") from None
    return parse(tree, str(path))


def parse(tree: Any, where: str) -> Scenario:
    """The scenario of a JSON tree. Raises MicroError that names `where` and the field."""
    scenario = _section(Scenario, tree, where, "")
    shape, data = scenario.model, scenario.data
    if shape.n_embd % shape.n_head:
        raise MicroError(
            f"{where}: model.n_embd {shape.n_embd} is not a multiple of model.n_head {shape.n_head}"
        )
    if data.chunk_overlap >= data.chunk_size:
        raise MicroError(
            f"{where}: data.chunk_overlap {data.chunk_overlap} is not below "
            f"data.chunk_size {data.chunk_size}"
        )
    if max(scenario.training.beta1, scenario.training.beta2) >= 1.0:
        raise MicroError(f"{where}: training.beta1 and training.beta2 stay below 1")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", scenario.name):
        raise MicroError(f"{where}: name {scenario.name!r} cannot name a folder; use a-z, 0-9, _")
    return scenario


def changed(scenario: Scenario, **training: Any) -> Scenario:
    """Return the scenario with new training values; None keeps the old value."""
    given = {name: value for name, value in training.items() if value is not None}
    tree = dataclasses.asdict(scenario)
    tree["training"] |= given
    return parse(tree, "the options")


def meant(name: str, known: list[str]) -> str:
    """' (did you mean ...?)' where one of the known names is close."""
    close = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _section(kind: type[T], tree: Any, where: str, path: str) -> T:
    if not isinstance(tree, dict):
        raise MicroError(
            f"{where}: {path.rstrip('.') or 'the scenario'} is not an object of fields"
        )
    fields: dict[str, dataclasses.Field[Any]] = {
        field.name: field
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
    }
    hints = get_type_hints(kind)
    for name in tree:
        if name not in fields:
            known = list(fields)
            raise MicroError(
                f"{where}: unknown field {path}{name}{meant(name, known)}; choose one of "
                + ", ".join(known)
            )
    for name, declared in fields.items():
        if name not in tree and declared.default is MISSING:
            meaning = declared.metadata.get("meaning", "a group of fields")
            raise MicroError(f"{where}: {path}{name} is missing: {meaning}")
    values = {
        name: _section(hints[name], value, where, f"{path}{name}.")
        if dataclasses.is_dataclass(hints[name])
        else _value(hints[name], value, fields[name].metadata, f"{where}: {path}{name}")
        for name, value in tree.items()
    }
    return kind(**values)


def _value(hint: Any, value: Any, limits: Any, where: str) -> Any:
    kinds = get_args(hint) or (hint,)
    if value is None and type(None) in kinds:
        return None
    kind = kinds[0]
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise MicroError(f"{where} is {json.dumps(value)}, not {NAMES[kind]}")
    if limits["among"] and value not in limits["among"]:
        raise MicroError(f"{where} is {value!r}; it must be one of {', '.join(limits['among'])}")
    if limits["least"] is not None and value < limits["least"]:
        raise MicroError(f"{where} is {value:g}; the minimum is {limits['least']:g}")
    return value
