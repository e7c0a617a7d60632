"""The grid of a sweep: the configurations to measure, shipped or from a JSON file."""

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from nielsgpt.config import legacy_names
from nielsgpt.config.load import once
from nielsgpt.config.section import Count, Section
from nielsgpt.config.settings import ModelSettings, VariantName
from nielsgpt.errors import SettingsError

# (n_embd, n_layer, n_head) and context lengths: for a GPU or a Mac, and for a few CPU cores.
SHAPES, CONTEXTS = ((384, 8, 6), (512, 8, 8), (512, 12, 8)), (512, 1024)
SMALL_SHAPES, SMALL_CONTEXTS = ((128, 4, 2), (256, 6, 4), (384, 6, 6)), (128, 256)
# Old names that the settings never had; the other old names are in legacy_names.NAMES.
AMP, AMP_DTYPE = "amp", "amp_dtype"
AMP_TYPES = {AMP: (bool, "true or false"), AMP_DTYPE: (str, "fp16 or bf16")}


class Configuration(Section):
    """A model shape and its execution, named as in the settings."""

    variant: VariantName = Field("gpt_qk", description="model.variant")
    context_length: Count = Field(description="model.context_length")
    n_layer: Count = Field(description="model.n_layer")
    n_head: Count = Field(description="model.n_head")
    n_embd: Count = Field(description="model.n_embd")
    d_ff: Count | None = Field(None, description="model.d_ff")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="as device's")
    activation_checkpointing: bool = Field(False, description="as the phase's")
    compile: Literal["auto", "on", "off"] = Field("auto", description="as device's")

    @property
    def shape(self) -> ModelSettings:
        """The model settings. Raises ValidationError if the values do not make a model."""
        names = ("variant", "context_length", "n_layer", "n_head", "n_embd", "d_ff")
        return ModelSettings(**{name: getattr(self, name) for name in names})

    def __str__(self) -> str:
        shape = f"{self.n_layer} x {self.n_embd}, {self.n_head} heads, T {self.context_length}"
        checkpointing = ", checkpointing" if self.activation_checkpointing else ""
        return f"{self.variant} {shape}, {self.precision}{checkpointing}"


def build_preset(small: bool) -> list[Configuration]:
    """Three shapes at two context lengths, with and without activation checkpointing."""
    shapes = SMALL_SHAPES if small else SHAPES
    contexts = SMALL_CONTEXTS if small else CONTEXTS
    return [
        Configuration(
            context_length=context,
            n_embd=width,
            n_layer=layers,
            n_head=heads,
            activation_checkpointing=checkpointing,
        )
        for context, (width, layers, heads), checkpointing in itertools.product(
            contexts, shapes, (False, True)
        )
    ]


def read(path: Path) -> tuple[list[Configuration], list[str]]:
    """The configurations of a JSON list, and a warning for each old name in it.

    Raises SettingsError naming the file, the item (counted from 1), the key and the value.
    """
    try:
        items = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except OSError as error:
        raise SettingsError(
            f"grid {path} cannot be read ({error.strerror}); name a file, or leave out --grid"
        ) from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise SettingsError(f"grid {path} is not JSON: {error}") from None
    if not isinstance(items, list) or not items:
        kind = "an empty list" if items == [] else f"a {type(items).__name__}"
        raise SettingsError(f"grid {path} contains {kind}, not a list of configurations")
    warnings: dict[str, None] = {}
    grid = [_parse(item, f"grid {path}: item {n}", warnings) for n, item in enumerate(items, 1)]
    return list(dict.fromkeys(grid)), [f"grid {path}: {warning}" for warning in warnings]


def _parse(item: Any, where: str, warnings: dict[str, None]) -> Configuration:
    if not isinstance(item, dict):
        raise SettingsError(f"{where} is {json.dumps(item)}, not an object of names and values")
    try:
        translated = dict(_translate(item, where, warnings))
        configuration = Configuration.model_validate(translated)
        _ = configuration.shape  # raises ValidationError too
    except ValidationError as error:
        raise SettingsError(f"{where}: {_explain(error, item)}") from None
    return configuration


def _translate(
    item: Mapping[str, Any], where: str, warnings: dict[str, None]
) -> Iterator[tuple[str, Any]]:
    """The item under its current names; `amp` and `amp_dtype` together become the precision."""
    for key, value in item.items():
        name = legacy_names.NAMES.get(key, key)
        if name != key:
            warnings[f"{key} is called {name} now"] = None
        if key not in (AMP, AMP_DTYPE):
            yield name, value
    if AMP in item or AMP_DTYPE in item:
        warnings[f"{AMP} and {AMP_DTYPE} are precision now"] = None
        for key, (kind, expected) in AMP_TYPES.items():
            if key in item and not isinstance(item[key], kind):
                raise SettingsError(f"{where}: {key} is {json.dumps(item[key])}, not {expected}")
        yield "precision", item.get(AMP_DTYPE, "fp16") if item.get(AMP, True) else "fp32"


def _explain(error: ValidationError, item: Mapping[str, Any]) -> str:
    """The first mistake: its key, its value, and the reason."""
    fault = error.errors()[0]
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    key = str(fault["loc"][0])
    if fault["type"] == "extra_forbidden":
        known = ", ".join(Configuration.model_fields)
        return f"unknown key {key} ({json.dumps(item.get(key))}); choose one of {known}"
    if fault["type"] == "missing":
        return f"{key} is missing"
    return f"{key} is {json.dumps(fault['input'])}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
