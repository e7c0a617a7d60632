"""Samples to splits: each goes to training or validation by the hash of its text, for good.

The builder knows no source and no tokenizer; it is handed encoded blocks and an identity of what
they were made from, and does nothing when the cache already holds just that.
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


def held_out_share(val_fraction: float, train_tokens: int, val_tokens: int) -> float:
    """The share of a source that falls to validation: by its budgets, where it has both."""
    if train_tokens and val_tokens:
        return val_tokens / (train_tokens + val_tokens)
    return val_fraction


@dataclass(frozen=True)
class Recipe:
    """What a cache is made from; equal recipes give equal bytes.

    The token budgets end the build early; 0 is none. `context_length` is what SFT examples fit in;
    none for text.
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
        """Whether the samples are conversations."""
        return self.context_length is not None

    @property
    def share(self) -> float:
        """The share of the documents that falls to validation."""
        return held_out_share(self.val_fraction, self.train_tokens, self.val_tokens)

    def facts(self) -> dict[str, Any]:
        """What goes into the meta beside the counts."""
        rule = f"sha256(seed, text) < {self.share:g}"
        if self.train_tokens or self.val_tokens:
            rule += f", at most {self.train_tokens:,} tokens for training, {self.val_tokens:,} not"
        known = {"context_length": self.context_length, "revision": self.revision}
        return {
            "source": self.source,
            "inputs": self.inputs,
            "tokenizer": self.tokenizer,
            "vocab_size": self.vocab_size,
            "seed": self.seed,
            "split_rule": rule,
            "shard_bytes": self.shard_bytes,
            **{name: value for name, value in known.items() if value is not None},
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


def build(
    folder: Path, recipe: Recipe, blocks: Blocks, look: Callable[[], Mapping[str, int]] = dict
) -> None:
    """Write both splits from `blocks(skip)`, the source's blocks after so many documents; `look`
    says what was found in them, for the meta.

    What a killed build of the same recipe finished is kept. Raises DataError when there is too
    little text for two sides.
    """
    nearest = _write(folder, recipe, blocks, look, recipe.share)
    if nearest is not None:
        _write(folder, recipe, blocks, look, nearest)


def _write(
    folder: Path,
    recipe: Recipe,
    blocks: Blocks,
    look: Callable[[], Mapping[str, int]],
    fraction: float,
) -> float | None:
    """Write both splits and return None; or, when nothing fell to validation, write nothing and
    return the fraction that the sample nearest to it needs."""
    pair = SplitBuilder(
        folder,
        recipe.source,
        recipe.facts(),
        fraction,
        (recipe.train_tokens, recipe.val_tokens),
        vocab_size=recipe.vocab_size,
        shard_bytes=recipe.shard_bytes,
        masked=recipe.masked,
    )
    try:
        if not pair.is_full:
            with closing(blocks(pair.counts["documents"])) as coming:
                for block in coming:
                    pair.add(block)
                    if pair.is_full:
                        break
        if _is_two_sided(pair, recipe):
            found = {"found": dict(seen)} if (seen := look()) else {}
            pair.finish({**recipe.facts(), **_left_out(pair, recipe), **found})
            return None
    except BaseException:
        pair.abandon()
        raise
    pair.abandon(keep=False)
    return pair.nearest


def _is_two_sided(pair: SplitBuilder, recipe: Recipe) -> bool:
    """Whether both sides hold something; False where a larger fraction would mend it."""
    train, val = (writer.samples for writer in pair.writers)
    name = recipe.source
    if recipe.masked and not train + val:
        raise DataError(
            f"source {name} holds no exchange of user and assistant that fits the context of "
            f"{recipe.context_length} tokens; raise model.context_length"
        )
    if train + val < 2:
        raise DataError(
            f"source {name} holds {train + val} documents; training and validation need one each: "
            "add text, or more, smaller documents"
        )
    if not train or (not val and pair.nearest == 1.0):
        raise DataError(
            f"every document of source {name} fell to {'training' if train else 'validation'}; "
            f"{'choose another dataset' if train else 'lower data.val_fraction'} or add text"
        )
    return bool(val)


def _left_out(pair: SplitBuilder, recipe: Recipe) -> dict[str, Any]:
    """What of the conversations became no example, for the meta of either side; says so too."""
    if not recipe.masked:
        return {}
    given, lost, dropped = (pair.counts[name] for name in ("replies", "left_out", "dropped"))
    if lost:
        log.warning(
            "source %s: %d of %d replies left out, for they or what they answer do not fit the "
            "context of %d tokens or spell a special token (%d conversations)",
            recipe.source,
            lost,
            given,
            recipe.context_length,
            dropped,
        )
    return {"replies": given, "replies_left_out": lost, "conversations_dropped": dropped}


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
