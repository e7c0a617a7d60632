"""Both splits of a source while they are built, and how far that is, kept over the process's end.

.wikitext.progress.json   after each finished shard: documents read, counts, shards so far
.wikitext_train-00003.part  and so on: what becomes the splits' files
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nielsgpt.data.cache.blocks import DocumentBlock
from nielsgpt.data.cache.shards import FORMAT_VERSION, SPLITS, forget
from nielsgpt.data.cache.split_writer import SplitWriter
from nielsgpt.errors import DataError, NielsError
from nielsgpt.system.workspace import fingerprint, read_json, write_sealed

log = logging.getLogger("nielsgpt")
COUNTS = ("documents", "replies", "left_out", "dropped")


class SplitBuilder:
    """Takes blocks in order; `made_from` names all that decides the bytes.

    `budgets` are tokens of train and val, 0 for none: a side that has its budget takes no more.
    """

    def __init__(
        self,
        folder: Path,
        source: str,
        made_from: dict[str, Any],
        fraction: float,
        budgets: Sequence[int],
        **shape: Any,
    ) -> None:
        self.folder, self.source, self.fraction, self.shape = folder, source, fraction, shape
        self.budgets = budgets
        self.path = folder / f".{source}.progress.json"
        self.made_from = fingerprint(FORMAT_VERSION, fraction, made_from)
        self.counts = dict.fromkeys(COUNTS, 0)
        self.nearest = 1.0
        self.begun = self._go_on() or self._begin()

    @property
    def is_full(self) -> bool:
        """Whether more documents would change nothing."""
        met = [w.tokens >= most for w, most in zip(self.writers, self.budgets, strict=True) if most]
        return bool(self.budgets[0]) and all(met)

    def add(self, block: DocumentBlock) -> None:
        """Append a block's samples to their sides; remember it all when a shard is finished."""
        finished = [len(writer.finished) for writer in self.writers]
        falls = block.places <= self.fraction
        for writer, most, chosen in zip(self.writers, self.budgets, (~falls, falls), strict=True):
            if most:
                before = np.cumsum(block.lengths * chosen) - block.lengths * chosen
                chosen = chosen & (writer.tokens + before < most)
            if chosen.any():
                ids, mask = block.of(chosen)
                spelled = int(block.text_bytes[chosen].sum())
                writer.add(ids, block.lengths[chosen], spelled, mask)
        for name in COUNTS:
            self.counts[name] += getattr(block, name)
        own = block.places[(block.places >= 0.0) & (block.places < 1.0)]
        self.nearest = min(self.nearest, float(own.min(initial=1.0)))
        if finished != [len(writer.finished) for writer in self.writers]:
            self._remember()

    def finish(self, facts: dict[str, Any]) -> None:
        """Give both splits their names."""
        for writer in self.writers:
            writer.finish(facts)
        self.path.unlink(missing_ok=True)

    def abandon(self, keep: bool = True) -> None:
        """Stop here. What a later build can go on from stays, if `keep`."""
        for writer in self.writers:
            writer.abandon()
        if not keep or not self.path.exists():
            self._forget()

    def _begin(self) -> bool:
        self._forget()
        self.writers = self._open({})
        return False

    def _go_on(self) -> bool:
        """Whether there is something to go on from, and it is opened."""
        try:
            state = read_json(self.path)
            if state is None:
                return False
            if state["made_from"] != self.made_from:
                raise DataError("it was made from something else")
            self.writers = self._open(state["splits"])
            self.counts, self.nearest = state["counts"], state["nearest"]
        except (DataError, KeyError, TypeError) as error:
            log.info("source %s: what was half built is begun again (%s)", self.source, error)
            return False
        log.info(
            "source %s: going on after %s documents", self.source, f"{self.counts['documents']:,}"
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

    def _remember(self) -> None:
        splits = {s: writer.state() for s, writer in zip(SPLITS, self.writers, strict=True)}
        state = {"made_from": self.made_from, "counts": self.counts, "nearest": self.nearest}
        write_sealed(self.path, {**state, "splits": splits})

    def _forget(self) -> None:
        self.path.unlink(missing_ok=True)
        for split in SPLITS:
            forget(self.folder, f"{self.source}_{split}")
