"""Blocks on disk: one of n machines' share of a source's blocks, k with k % n == i - 1.

parts/streams/wikitext/2-of-3/ids.bin, lengths.bin, text_bytes.bin, places.bin, mask.bin (SFT)
parts/streams/wikitext/2-of-3/blocks.bin   int64 (blocks, 6): what each block counts
parts/streams/wikitext/2-of-3/meta.json    written last: recipe, sizes and sha256 of every file
"""

import logging
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nielsgpt.data.cache.append_file import AppendFile, hidden
from nielsgpt.data.cache.blocks import DocumentBlock
from nielsgpt.data.cache.build import Blocks, Recipe
from nielsgpt.data.cache.shards import FORMAT_VERSION, token_dtype
from nielsgpt.errors import DataError
from nielsgpt.system.workspace import (
    file_sha256,
    fingerprint,
    read_json,
    remove_meta,
    sync_folder,
    write_sealed,
)

log = logging.getLogger("nielsgpt")
ROW = ("documents", "samples", "tokens", "replies", "left_out", "dropped")
MARGIN = 1.1  # a part cannot know what the others hold; a join goes on where it ends too soon


@dataclass(frozen=True)
class BuildPart:
    """Number `number` of `count`, from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, block: int) -> bool:
        """Whether the block of this number, from 0, is its own."""
        return block % self.count == self.number - 1

    def folder(self, parts: Path, source: str) -> Path:
        """Where it lies."""
        return parts / source / f"{self.number}-of-{self.count}"


def columns(recipe: Recipe) -> dict[str, "np.dtype[Any]"]:
    """The dtype of each of a block's arrays on disk."""
    known = {"ids": token_dtype(recipe.vocab_size), "lengths": "<i8", "text_bytes": "<i8"}
    known |= {"places": "<f8"} | ({"mask": "u1"} if recipe.masked else {})
    return {name: np.dtype(kind) for name, kind in known.items()}


def staleness(folder: Path, recipe: Recipe) -> str | None:
    """None when the part is of this recipe, else why it is not."""
    meta = read_json(folder / "meta.json")
    if not isinstance(meta, dict) or meta.get("format") != FORMAT_VERSION:
        return "not built yet"
    for key, value in recipe.facts().items():
        if meta.get(key) != value:
            return f"{key} changed from {meta.get(key)} to {value}"
    return None


class PartWriter:
    """Writes the part's blocks; goes on where a killed process was."""

    def __init__(self, folder: Path, recipe: Recipe, part: BuildPart) -> None:
        self.folder, self.recipe, self.part = folder, recipe, part
        self.dtypes = columns(recipe) | {"blocks": np.dtype("<i8")}
        self.path = folder / ".progress.json"
        self.made_from = fingerprint(FORMAT_VERSION, recipe.facts(), str(part))
        remove_meta(folder / "meta.json")
        for name in self.dtypes:  # of a process that was killed while it gave them their names
            if (folder / f"{name}.bin").exists():
                (folder / f"{name}.bin").replace(hidden(folder / f"{name}.bin"))
        self.files: dict[str, AppendFile] = {}
        fresh = {"read": 0, "cut": 0, "unsaved": 0, "sides": [0, 0], "bytes": {}}
        try:
            self.state: dict[str, Any] = read_json(self.path) or {}
            if self.state.get("made_from") == self.made_from:
                self._open(self.state["bytes"])
                log.info("part %s: going on after %s documents", part, f"{self.state['read']:,}")
                return
        except (DataError, KeyError, AttributeError, TypeError) as error:
            log.info("part %s is begun again (%s)", part, error)
            self.abandon()
        self.path.unlink(missing_ok=True)
        self.state = {**fresh, "made_from": self.made_from}
        self._open({})

    @property
    def is_long_enough(self) -> bool:
        """Whether it holds its share of the token budgets, and some more."""
        budgets = (self.recipe.train_tokens, self.recipe.val_tokens)
        met = [
            held * self.part.count >= MARGIN * most
            for held, most in zip(self.state["sides"], budgets, strict=True)
            if most
        ]
        return bool(budgets[0]) and all(met)

    def add(self, block: DocumentBlock) -> None:
        """Append one of its blocks."""
        row = [block.documents, len(block.lengths), len(block.ids)]
        row += [block.replies, block.left_out, block.dropped]
        for name, dtype in self.dtypes.items():
            values = row if name == "blocks" else getattr(block, name)
            self.files[name].write(np.asarray(values, dtype=dtype).tobytes())
        falls = block.places <= self.recipe.share
        for n, chosen in enumerate((~falls, falls)):
            self.state["sides"][n] += int(block.lengths[chosen].sum())
        self.state["unsaved"] += len(block.ids) * self.dtypes["ids"].itemsize

    def passed(self, documents: int) -> None:
        """Take note that a block of so many documents, of whichever part, is behind."""
        self.state["read"] += documents
        self.state["cut"] += 1
        if self.state["unsaved"] >= self.recipe.shard_bytes:
            for file in self.files.values():
                file.sync()
            sizes = {name: file.length for name, file in self.files.items()}
            self.state |= {"unsaved": 0, "bytes": sizes}
            write_sealed(self.path, self.state)

    def finish(self, ended: bool) -> None:
        """Give the files their names; `ended` says that the walk ended, and not the budget."""
        files = []
        for name, file in self.files.items():
            files.append({"file": f"{name}.bin", **file.close()})
            file.hidden.replace(self.folder / f"{name}.bin")
        sync_folder(self.folder)
        meta = {"format": FORMAT_VERSION, "part": str(self.part), "ended": ended, "files": files}
        meta |= {"blocks_cut": self.state["cut"], "documents_read": self.state["read"]}
        write_sealed(self.folder / "meta.json", meta | self.recipe.facts())
        self.path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Stop here."""
        for file in self.files.values():
            file.abandon()

    def _open(self, sizes: dict[str, int]) -> None:
        for name in self.dtypes:
            self.files[name] = AppendFile(self.folder / f"{name}.bin", sizes.get(name, 0))


class PartReader:
    """A finished part, mapped. Raises DataError when it is missing, foreign or damaged."""

    def __init__(self, folder: Path, recipe: Recipe, part: BuildPart) -> None:
        make = f"'nielsgpt caches --part {part}'"
        why = staleness(folder, recipe)
        if why is not None:
            raise DataError(f"part {part} of source {recipe.source}: {why}; make it with {make}")
        self.meta = read_json(folder / "meta.json")
        for entry in self.meta["files"]:
            file = folder / entry["file"]
            if not file.is_file() or file_sha256(file) != entry["sha256"]:
                raise DataError(f"{file} is damaged; delete its folder and make it with {make}")
        self._arrays = {
            name: _map(folder / f"{name}.bin", dtype) for name, dtype in columns(recipe).items()
        }
        self.rows = _map(folder / "blocks.bin", np.dtype("<i8")).reshape(-1, len(ROW))
        self._ends = np.cumsum(self.rows[:, 1:3], axis=0)

    def block(self, number: int) -> DocumentBlock:
        """Its block `number`, from 0."""
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
    """The blocks of all parts in the order of the walk; where a budget ended a part before another,
    `encoded` goes on."""
    parts = [BuildPart(number, count) for number in range(1, count + 1)]
    readers = [PartReader(part.folder(folder, recipe.source), recipe, part) for part in parts]
    ends = {reader.meta["blocks_cut"] for reader in readers if reader.meta["ended"]}
    if len(ends) > 1:
        where = " and ".join(map(str, sorted(ends)))
        raise DataError(
            f"the parts of source {recipe.source} were cut from different text: it ends after "
            f"{where} blocks; delete them, and make each again from one copy of it with "
            f"'nielsgpt caches --part 1/{count}' and so on"
        )

    def blocks(skip: int) -> Generator[DocumentBlock, None, None]:
        number = read = 0
        while number not in ends and number // count < len(readers[number % count].rows):
            block = readers[number % count].block(number // count)
            if read >= skip:
                yield block
            number, read = number + 1, read + block.documents
        if number not in ends:
            yield from encoded(max(skip, read))

    return blocks


def _map(path: Path, dtype: "np.dtype[Any]") -> NDArray[Any]:
    # An empty file cannot be mapped.
    empty = not path.stat().st_size
    return np.empty(0, dtype) if empty else np.asarray(np.memmap(path, dtype=dtype, mode="r"))
