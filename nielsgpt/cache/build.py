"""Samples to splits: each goes to training or validation by the hash of its text, for good.

The builder knows no source and no tokenizer; it is handed finished samples and an identity of what
they were made from, and does nothing when the cache already holds just that.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nielsgpt.cache.shards import SplitWriter, forget, read_meta
from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.errors import DataError

log = logging.getLogger("nielsgpt")
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Sample:
    """A document (no mask) or a rendered conversation.

    `key` decides its side; pieces of one conversation share it. `text_bytes` are the UTF-8 bytes
    that its ids spell.
    """

    key: str
    ids: list[int]
    text_bytes: int
    mask: list[bool] | None = None


@dataclass(frozen=True)
class Recipe:
    """What a cache is made from; equal recipes give equal bytes."""

    source: str
    inputs: str
    tokenizer: str
    vocab_size: int
    masked: bool
    seed: int
    val_fraction: float
    shard_bytes: int

    def facts(self) -> dict[str, Any]:
        """What goes into the meta beside the counts."""
        return {
            "source": self.source,
            "inputs": self.inputs,
            "tokenizer": self.tokenizer,
            "vocab_size": self.vocab_size,
            "seed": self.seed,
            "split_rule": f"sha256(seed, text) < {self.val_fraction:g}",
            "shard_bytes": self.shard_bytes,
        }


def staleness(folder: Path, recipe: Recipe) -> str | None:
    """None when the cache is just what the recipe makes, else why it is not."""
    for split in SPLITS:
        try:
            meta = read_meta(folder, f"{recipe.source}_{split}")
        except DataError as error:
            return str(error)
        if meta is None:
            return "not built yet"
        for key, value in recipe.facts().items():
            if meta.get(key) != value:
                return f"{key} changed from {meta.get(key)} to {value}"
    return None


def build(folder: Path, recipe: Recipe, samples: Callable[[], Iterable[Sample]]) -> None:
    """Write both splits. Raises DataError when there is too little text for two sides."""
    smallest = _write(folder, recipe, samples(), recipe.val_fraction)
    if smallest is not None:
        _write(folder, recipe, samples(), smallest)


def _write(
    folder: Path, recipe: Recipe, samples: Iterable[Sample], fraction: float
) -> float | None:
    """Write both splits and return None; or, when nothing fell to validation, write nothing and
    return the fraction that the sample nearest to it needs."""
    for split in SPLITS:
        forget(folder, f"{recipe.source}_{split}")
    writers = [
        SplitWriter(
            folder, f"{recipe.source}_{split}", recipe.vocab_size, recipe.shard_bytes, recipe.masked
        )
        for split in SPLITS
    ]
    train, val = writers
    smallest = 1.0
    with train, val:
        for sample in samples:
            place = side(recipe.seed, sample.key)
            smallest = min(smallest, place)
            writer = val if place <= fraction else train
            writer.add(sample.ids, sample.mask, sample.text_bytes)
        if train.samples + val.samples < 2:
            raise DataError(
                f"source {recipe.source} holds {train.samples + val.samples} documents; training "
                "and validation need one each: add text, or more, smaller documents"
            )
        if not val.samples:
            return smallest
        if not train.samples:
            raise DataError(
                f"every document of source {recipe.source} fell to validation; "
                "lower data.val_fraction or add text"
            )
        for writer in writers:
            writer.finish(recipe.facts())
    return None


def side(seed: int, text: str) -> float:
    """A number in [0, 1) that the seed and the text alone decide."""
    digest = hashlib.sha256(f"{seed}:{text}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def guard(text: str, where: str, policy: Literal["fail", "escape", "drop"]) -> str | None:
    """The text with no spelled-out special token left in it; None when it is to be dropped.

    Such text could never be mistaken for the token, but a model that learns to write it would look
    as if it could. Raises DataError naming the place when the policy is to fail.
    """
    found = [(text.find(literal), literal) for literal in SPECIAL_TEXTS if literal in text]
    if not found:
        return text
    if policy == "drop":
        return None
    if policy == "escape":
        for _, literal in found:
            text = text.replace(literal, literal.replace("|", "\\|"))
        return text
    offset, literal = min(found)
    raise DataError(
        f"{where} spells the special token {literal} at character {offset}; remove it, "
        "or set data.on_special_literal (SFT: data.on_special_literal_sft) to escape"
    )
