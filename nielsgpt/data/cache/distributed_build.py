"""Parts: machine i of n tokenizes the blocks k of a source with k % n == i - 1, and stores them.

parts/streams/wikitext/2-of-3/ids.bin, lengths.bin, text_bytes.bin, places.bin, mask.bin (SFT)
parts/streams/wikitext/2-of-3/blocks.bin   int64 (blocks, 6): the counts of each block
parts/streams/wikitext/2-of-3/meta.json    written last: recipe, sizes and sha256 of every file
"""

import logging
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nielsgpt.data.cache.append_file import AppendFile, part_path
from nielsgpt.data.cache.blocks import DocumentBlock
from nielsgpt.data.cache.build import Blocks, Recipe
from nielsgpt.data.cache.shards import FORMAT_VERSION, token_dtype
from nielsgpt.errors import DataError
from nielsgpt.system.atomic_files import (
    file_sha256,
    fingerprint,
    read_json,
    remove_meta,
    sync_folder,
    write_sealed,
)

log = logging.getLogger("nielsgpt")
BLOCK_COUNTS = ("documents", "samples", "tokens", "replies", "left_out", "dropped")
MARGIN = 1.1  # a part cannot see the others; the join tokenizes what is still missing


@dataclass(frozen=True)
class BuildPart:
    """Number `number` of `count`, from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def contains(self, block: int) -> bool:
        """Whether the block of this number, from 0, belongs to this part."""
        return block % self.count == self.number - 1

    def folder(self, parts: Path, source: str) -> Path:
        """The folder of this part."""
        return parts / source / f"{self.number}-of-{self.count}"


def column_dtypes(recipe: Recipe) -> dict[str, "np.dtype[Any]"]:
    """The on-disk dtype of each array of a block."""
    dtypes = {"ids": token_dtype(recipe.vocab_size), "lengths": "<i8", "text_bytes": "<i8"}
    dtypes |= {"places": "<f8"} | ({"mask": "u1"} if recipe.masked else {})
    return {name: np.dtype(kind) for name, kind in dtypes.items()}


def explain_part_staleness(folder: Path, recipe: Recipe) -> str | None:
    """None if the part is made from this recipe, else the reason why it must be rebuilt."""
    meta = read_json(folder / "meta.json")
    if not isinstance(meta, dict) or meta.get("format") != FORMAT_VERSION:
        return "not built yet"
    for key, value in recipe.metadata().items():
        if meta.get(key) != value:
            return f"{key} changed from {meta.get(key)} to {value}"
    return None


class PartWriter:
    """Writes the blocks of a part; resumes after a killed process."""

    def __init__(self, folder: Path, recipe: Recipe, part: BuildPart) -> None:
        self.folder = folder
        self.recipe = recipe
        self.part = part
        self.dtypes = column_dtypes(recipe) | {"blocks": np.dtype("<i8")}
        self.path = folder / ".progress.json"
        self.recipe_fingerprint = fingerprint(FORMAT_VERSION, recipe.metadata(), str(part))
        remove_meta(folder / "meta.json")
        for name in self.dtypes:  # left by a process that was killed while renaming
            if (folder / f"{name}.bin").exists():
                (folder / f"{name}.bin").replace(part_path(folder / f"{name}.bin"))
        self.files: dict[str, AppendFile] = {}
        initial = {"read": 0, "cut": 0, "unsaved": 0, "sides": [0, 0], "bytes": {}}
        try:
            self.state: dict[str, Any] = read_json(self.path) or {}
            if self.state.get("made_from") == self.recipe_fingerprint:
                self._open(self.state["bytes"])
                log.info("part %s: resuming after %s documents", part, f"{self.state['read']:,}")
                return
        except (DataError, KeyError, AttributeError, TypeError) as error:
            log.info("part %s: cannot resume (%s); starting over", part, error)
            self.abandon()
        self.path.unlink(missing_ok=True)
        self.state = {**initial, "made_from": self.recipe_fingerprint}
        self._open({})

    @property
    def is_long_enough(self) -> bool:
        """Whether the part has its share of the token budgets, plus a margin."""
        budgets = (self.recipe.train_tokens, self.recipe.val_tokens)
        met = [
            tokens * self.part.count >= MARGIN * budget
            for tokens, budget in zip(self.state["sides"], budgets, strict=True)
            if budget
        ]
        return bool(budgets[0]) and all(met)

    def add(self, block: DocumentBlock) -> None:
        """Append a block of this part."""
        row = [block.documents, len(block.lengths), len(block.ids)]
        row += [block.replies, block.left_out, block.dropped]
        for name, dtype in self.dtypes.items():
            values = row if name == "blocks" else getattr(block, name)
            self.files[name].write(np.asarray(values, dtype=dtype).tobytes())
        is_val = block.places <= self.recipe.share
        for n, chosen in enumerate((~is_val, is_val)):
            self.state["sides"][n] += int(block.lengths[chosen].sum())
        self.state["unsaved"] += len(block.ids) * self.dtypes["ids"].itemsize

    def count_read(self, documents: int) -> None:
        """Count a block of any part as read; save progress after `shard_bytes` of ids."""
        self.state["read"] += documents
        self.state["cut"] += 1
        if self.state["unsaved"] >= self.recipe.shard_bytes:
            for file in self.files.values():
                file.sync()
            sizes = {name: file.length for name, file in self.files.items()}
            self.state |= {"unsaved": 0, "bytes": sizes}
            write_sealed(self.path, self.state)

    def finish(self, ended: bool) -> None:
        """Rename the files; `ended`: the source ended before the budget was met."""
        files = []
        for name, file in self.files.items():
            files.append({"file": f"{name}.bin", **file.close()})
            file.part.replace(self.folder / f"{name}.bin")
        sync_folder(self.folder)
        meta = {"format": FORMAT_VERSION, "part": str(self.part), "ended": ended, "files": files}
        meta |= {"blocks_cut": self.state["cut"], "documents_read": self.state["read"]}
        write_sealed(self.folder / "meta.json", meta | self.recipe.metadata())
        self.path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Close the files and leave them as they are."""
        for file in self.files.values():
            file.abandon()

    def _open(self, sizes: dict[str, int]) -> None:
        for name in self.dtypes:
            self.files[name] = AppendFile(self.folder / f"{name}.bin", sizes.get(name, 0))


class PartReader:
    """A finished part, memory-mapped. Raises DataError if it is missing, stale or damaged."""

    def __init__(self, folder: Path, recipe: Recipe, part: BuildPart) -> None:
        command = f"'nielsgpt caches --part {part}'"
        why = explain_part_staleness(folder, recipe)
        if why is not None:
            raise DataError(f"part {part} of source {recipe.source}: {why}; make it with {command}")
        self.meta = read_json(folder / "meta.json")
        for entry in self.meta["files"]:
            file = folder / entry["file"]
            if not file.is_file() or file_sha256(file) != entry["sha256"]:
                raise DataError(f"{file} is damaged; delete its folder and make it with {command}")
        self._arrays = {
            name: _map_array(folder / f"{name}.bin", dtype)
            for name, dtype in column_dtypes(recipe).items()
        }
        self.rows = _map_array(folder / "blocks.bin", np.dtype("<i8")).reshape(
            -1, len(BLOCK_COUNTS)
        )
        self._ends = np.cumsum(self.rows[:, 1:3], axis=0)

    def block(self, number: int) -> DocumentBlock:
        """The block of this number within the part, from 0."""
        documents, samples, tokens, *counts = map(int, self.rows[number])
        after_samples, after_tokens = map(int, self._ends[number])
        spans = {name: slice(after_samples - samples, after_samples) for name in self._arrays}
        spans |= dict.fromkeys(("ids", "mask"), slice(after_tokens - tokens, after_tokens))
        arrays = {name: array[spans[name]] for name, array in self._arrays.items()}
        replies, left_out, dropped = counts
        return DocumentBlock(
            documents, **arrays, replies=replies, left_out=left_out, dropped=dropped
        )


def join_parts(folder: Path, recipe: Recipe, count: int, encoded: Blocks) -> Blocks:
    """The blocks of all parts in source order.

    If budgets ended some parts earlier than others, the missing blocks come from `encoded`.
    Raises DataError if the parts were made from different texts.
    """
    parts = [BuildPart(number, count) for number in range(1, count + 1)]
    readers = [PartReader(part.folder(folder, recipe.source), recipe, part) for part in parts]
    ends = {reader.meta["blocks_cut"] for reader in readers if reader.meta["ended"]}
    if len(ends) > 1:
        lengths = " and ".join(map(str, sorted(ends)))
        raise DataError(
            f"the parts of source {recipe.source} were cut from different text: it ends after "
            f"{lengths} blocks; delete them, and build each again from the same copy with "
            f"'nielsgpt caches --part 1/{count}' and so on"
        )

    def blocks(skip: int) -> Generator[DocumentBlock, None, None]:
        number = passed = 0
        while number not in ends and number // count < len(readers[number % count].rows):
            block = readers[number % count].block(number // count)
            if passed >= skip:
                yield block
            number, passed = number + 1, passed + block.documents
        if number not in ends:
            yield from encoded(max(skip, passed))

    return blocks


def _map_array(path: Path, dtype: "np.dtype[Any]") -> NDArray[Any]:
    # An empty file cannot be memory-mapped.
    empty = not path.stat().st_size
    return np.empty(0, dtype) if empty else np.asarray(np.memmap(path, dtype=dtype, mode="r"))
