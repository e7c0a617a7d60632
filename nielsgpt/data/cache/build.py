"""Build the caches: the hash of a sample's text sends it to training or validation.

This module knows no source and no tokenizer: it gets tokenized blocks and a recipe, the identity of
all that they were made from.
"""

import hashlib
import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.data.cache.blocks import DocumentBlock
from nielsgpt.data.cache.shards import SPLITS, read_meta
from nielsgpt.data.cache.split_builder import SplitBuilder
from nielsgpt.errors import DataError

log = logging.getLogger("nielsgpt")
Blocks = Callable[[int], Generator[DocumentBlock, None, None]]


def val_share(val_fraction: float, train_tokens: int, val_tokens: int) -> float:
    """The share of a source that goes to validation: from its budgets if it has both."""
    if train_tokens and val_tokens:
        return val_tokens / (train_tokens + val_tokens)
    return val_fraction


@dataclass(frozen=True)
class Recipe:
    """All that a cache is made from; equal recipes give equal bytes.

    The token budgets end the build early; 0 means unlimited. `context_length`, for SFT only, is
    the limit of an example.
    """

    source: str
    inputs: str
    tokenizer: str
    vocab_size: int
    seed: int
    val_fraction: float
    shard_bytes: int
    train_tokens: int = 0
    val_tokens: int = 0
    context_length: int | None = None
    revision: str | None = None

    @property
    def masked(self) -> bool:
        """Whether the samples are conversations, which have a loss mask."""
        return self.context_length is not None

    @property
    def share(self) -> float:
        """The share of the documents that goes to validation."""
        return val_share(self.val_fraction, self.train_tokens, self.val_tokens)

    def metadata(self) -> dict[str, Any]:
        """The entries of a split's meta, apart from its counts."""
        rule = f"sha256(seed, text) < {self.share:g}"
        if self.train_tokens or self.val_tokens:
            rule += f", at most {self.train_tokens:,} tokens for training, {self.val_tokens:,} not"
        optional = {"context_length": self.context_length, "revision": self.revision}
        return {
            "source": self.source,
            "inputs": self.inputs,
            "tokenizer": self.tokenizer,
            "vocab_size": self.vocab_size,
            "seed": self.seed,
            "split_rule": rule,
            "shard_bytes": self.shard_bytes,
            **{name: value for name, value in optional.items() if value is not None},
        }


def explain_staleness(folder: Path, recipe: Recipe) -> str | None:
    """None if the cache is what the recipe makes, else the reason why it must be rebuilt."""
    for split in SPLITS:
        try:
            meta = read_meta(folder, f"{recipe.source}_{split}")
        except DataError as error:
            return str(error)
        if meta is None:
            return "not built yet"
        for key, value in recipe.metadata().items():
            if meta.get(key) != value:
                return f"{key} changed from {meta.get(key)} to {value}"
    return None


def build(
    folder: Path, recipe: Recipe, blocks: Blocks, inspect: Callable[[], Mapping[str, int]] = dict
) -> None:
    """Write both splits from `blocks(skip)`, the source's blocks after `skip` documents.

    Resumes a killed build with the same recipe. `inspect` returns findings on the data for the
    meta. Raises DataError if there is too little text for two splits.
    """
    nearest = _write_splits(folder, recipe, blocks, inspect, recipe.share)
    if nearest is not None:
        _write_splits(folder, recipe, blocks, inspect, nearest)


def _write_splits(
    folder: Path,
    recipe: Recipe,
    blocks: Blocks,
    inspect: Callable[[], Mapping[str, int]],
    fraction: float,
) -> float | None:
    """Write both splits and return None.

    If no sample went to validation, writes nothing and returns the smallest fraction that sends
    one there.
    """
    builder = SplitBuilder(
        folder,
        recipe.source,
        recipe.metadata(),
        fraction,
        (recipe.train_tokens, recipe.val_tokens),
        vocab_size=recipe.vocab_size,
        shard_bytes=recipe.shard_bytes,
        masked=recipe.masked,
    )
    try:
        if not builder.is_full:
            with closing(blocks(builder.counts["documents"])) as source_blocks:
                for block in source_blocks:
                    builder.add(block)
                    if builder.is_full:
                        break
        if _has_both_splits(builder, recipe):
            found = {"found": dict(seen)} if (seen := inspect()) else {}
            builder.finish({**recipe.metadata(), **_count_left_out(builder, recipe), **found})
            return None
    except BaseException:
        builder.abandon()
        raise
    builder.abandon(keep=False)
    return builder.nearest


def _has_both_splits(builder: SplitBuilder, recipe: Recipe) -> bool:
    """Whether both splits have samples; False if a larger fraction would help."""
    train, val = (writer.samples for writer in builder.writers)
    name = recipe.source
    if recipe.masked and not train + val:
        raise DataError(
            f"source {name} has no user-assistant exchange that fits the context of "
            f"{recipe.context_length} tokens; raise model.context_length"
        )
    if train + val < 2:
        raise DataError(
            f"source {name} has {train + val} documents; training and validation need one each: "
            "add text, or more, smaller documents"
        )
    if not train or (not val and builder.nearest == 1.0):
        raise DataError(
            f"every document of source {name} went to {'training' if train else 'validation'}; "
            f"{'choose another dataset' if train else 'lower data.val_fraction'} or add text"
        )
    return bool(val)


def _count_left_out(builder: SplitBuilder, recipe: Recipe) -> dict[str, Any]:
    """Count the conversations that became no example, for the metas; warns about them."""
    if not recipe.masked:
        return {}
    replies, left_out, dropped = (
        builder.counts[name] for name in ("replies", "left_out", "dropped")
    )
    if left_out:
        log.warning(
            "source %s: %d of %d replies left out because they or their prompts do not fit the "
            "context of %d tokens or contain a special token (%d conversations)",
            recipe.source,
            left_out,
            replies,
            recipe.context_length,
            dropped,
        )
    return {"replies": replies, "replies_left_out": left_out, "conversations_dropped": dropped}


def hash_to_unit(seed: int, text: str) -> float:
    """A hash of the seed and the text, in [0, 1)."""
    digest = hashlib.sha256(f"{seed}:{text}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def guard_special_tokens(
    text: str,
    where: str,
    policy: Literal["fail", "escape", "drop"],
    setting: str = "data.on_special_literal",
) -> str | None:
    """The text without literal special tokens; None if the policy is to drop it.

    Such text never encodes to the token itself, but a model that learns to write it looks as if it
    did. Raises DataError with the position if the policy is to fail.
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
        f"{where} contains the special token {literal} at character {offset}; remove it, "
        f"or use --set {setting}=escape"
    )
