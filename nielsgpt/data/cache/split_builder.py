"""The builder of both splits of a source, which saves its progress and can resume.

.wikitext.progress.json   saved after each finished shard: counts and shards so far
.wikitext_train-00003.part  and so on: the future files of the splits
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nielsgpt.data.cache.blocks import DocumentBlock
from nielsgpt.data.cache.shards import FORMAT_VERSION, SPLITS, remove_split
from nielsgpt.data.cache.split_writer import SplitWriter
from nielsgpt.errors import DataError, NielsError
from nielsgpt.system.atomic_files import fingerprint, read_json, write_sealed

log = logging.getLogger("nielsgpt")
COUNTS = ("documents", "replies", "left_out", "dropped")


class SplitBuilder:
    """Splits blocks, in order, into training and validation; `recipe` determines the bytes.

    `budgets` are the token budgets of train and val, 0 for unlimited; a full split takes no more.
    """

    def __init__(
        self,
        folder: Path,
        source: str,
        recipe: dict[str, Any],
        fraction: float,
        budgets: Sequence[int],
        **shape: Any,
    ) -> None:
        self.folder = folder
        self.source = source
        self.fraction = fraction
        self.shape = shape
        self.budgets = budgets
        self.path = folder / f".{source}.progress.json"
        self.recipe_fingerprint = fingerprint(FORMAT_VERSION, fraction, recipe)
        self.counts = dict.fromkeys(COUNTS, 0)
        self.nearest = 1.0
        self.resumed = self._resume() or self._start()

    @property
    def is_full(self) -> bool:
        """Whether both budgets are met, so that more documents change nothing."""
        met = [
            w.tokens >= budget
            for w, budget in zip(self.writers, self.budgets, strict=True)
            if budget
        ]
        return bool(self.budgets[0]) and all(met)

    def add(self, block: DocumentBlock) -> None:
        """Append the samples of a block to their splits; save progress after a finished shard."""
        finished = [len(writer.finished) for writer in self.writers]
        is_val = block.places <= self.fraction
        for writer, budget, chosen in zip(
            self.writers, self.budgets, (~is_val, is_val), strict=True
        ):
            if budget:
                before = np.cumsum(block.lengths * chosen) - block.lengths * chosen
                chosen = chosen & (writer.tokens + before < budget)
            if chosen.any():
                ids, mask = block.select(chosen)
                text_bytes = int(block.text_bytes[chosen].sum())
                writer.add(ids, block.lengths[chosen], text_bytes, mask)
        for name in COUNTS:
            self.counts[name] += getattr(block, name)
        own = block.places[(block.places >= 0.0) & (block.places < 1.0)]
        self.nearest = min(self.nearest, float(own.min(initial=1.0)))
        if finished != [len(writer.finished) for writer in self.writers]:
            self._save_progress()

    def finish(self, metadata: dict[str, Any]) -> None:
        """Complete both splits."""
        for writer in self.writers:
            writer.finish(metadata)
        self.path.unlink(missing_ok=True)

    def abandon(self, keep: bool = True) -> None:
        """Stop the build; with `keep`, what a later build can resume from stays."""
        for writer in self.writers:
            writer.abandon()
        if not keep or not self.path.exists():
            self._remove_files()

    def _start(self) -> bool:
        self._remove_files()
        self.writers = self._open({})
        return False

    def _resume(self) -> bool:
        """Open the state of an earlier build; False if there is none that fits."""
        try:
            state = read_json(self.path)
            if state is None:
                return False
            if state["made_from"] != self.recipe_fingerprint:
                raise DataError("its inputs have changed")
            self.writers = self._open(state["splits"])
            self.counts, self.nearest = state["counts"], state["nearest"]
        except (DataError, KeyError, TypeError) as error:
            log.info(
                "source %s: cannot resume the unfinished build (%s); starting over",
                self.source,
                error,
            )
            return False
        log.info(
            "source %s: resuming after %s documents", self.source, f"{self.counts['documents']:,}"
        )
        return True

    def _open(self, states: dict[str, Any]) -> list[SplitWriter]:
        opened: list[SplitWriter] = []
        try:
            for split in SPLITS:
                name = f"{self.source}_{split}"
                opened.append(SplitWriter(self.folder, name, **self.shape, state=states.get(split)))
        except NielsError:
            for writer in opened:
                writer.abandon()
            raise
        return opened

    def _save_progress(self) -> None:
        splits = {s: writer.state() for s, writer in zip(SPLITS, self.writers, strict=True)}
        state = {
            "made_from": self.recipe_fingerprint,
            "counts": self.counts,
            "nearest": self.nearest,
        }
        write_sealed(self.path, {**state, "splits": splits})

    def _remove_files(self) -> None:
        self.path.unlink(missing_ok=True)
        for split in SPLITS:
            remove_split(self.folder, f"{self.source}_{split}")
