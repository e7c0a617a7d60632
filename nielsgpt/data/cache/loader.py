"""Batches as pure functions of (seed, step), so that resuming needs one integer.

Every source has rows of T + 1 ids: windows of a token stream, or whole examples packed into rows.
Draw j of a source reads row shuffle(j mod rows) of epoch j // rows, so each epoch uses every row
once. The draws of a step follow from the shares alone.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from nielsgpt.data.cache.shards import Split
from nielsgpt.data.cache.shuffle import mix_seed, shuffle_index
from nielsgpt.errors import DataError

IGNORED = -100
Matrix = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """`inputs` and `targets`, both (B, T); targets of -100 are ignored by the loss."""

    inputs: Matrix
    targets: Matrix


class MixtureState(TypedDict):
    """The rows of each source that were read: before row `since` under other shares, and so far."""

    since: int
    before: dict[str, int]
    read: dict[str, int]


class Rows(ABC):
    """The rows of one split, each (T,) inputs and (T,) targets."""

    def __init__(self, split: Split, context_length: int, seed: int) -> None:
        self.split = split
        self.T = context_length
        self.seed = seed

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of rows in an epoch."""

    @property
    def supervised_share(self) -> float:
        """The share of the targets that the loss counts."""
        return 1.0

    @abstractmethod
    def row(self, number: int, offset: int) -> tuple[Matrix, Matrix]:
        """Inputs and targets, (T,) each, of one row; `offset` shifts the windows of an epoch."""

    def draw(self, number: int) -> tuple[Matrix, Matrix]:
        """Inputs and targets of the source's draw `number`, counted from the start of training."""
        epoch, index = divmod(number, self.count)
        key = mix_seed(self.seed, epoch)
        return self.row(shuffle_index(index, self.count, key), key)

    def eval_batches(self, rows: int, at_once: int) -> Iterator[Batch]:
        """Batches for evaluation: at most `rows` rows, evenly spread, always the same."""
        chosen = np.linspace(0, self.count - 1, min(rows, self.count)).round().astype(np.int64)
        for start in range(0, len(chosen), at_once):
            yield stack_rows([self.row(int(i), 0) for i in chosen[start : start + at_once]])


class WindowRows(Rows):
    """Adjacent windows of a token stream; each epoch starts at another offset."""

    def __init__(self, split: Split, context_length: int, seed: int) -> None:
        super().__init__(split, context_length, seed)
        if split.tokens < context_length + 1:
            raise DataError(
                f"source {split.name} has {split.tokens} tokens, fewer than one window of "
                f"{context_length + 1}; add text, raise data.val_fraction if it is the validation "
                "split, or lower model.context_length"
            )

    @property
    def count(self) -> int:
        """The number of windows that fit at every offset."""
        return count_windows(self.split.tokens, self.T)

    def row(self, number: int, offset: int) -> tuple[Matrix, Matrix]:
        """The T + 1 ids from `number` T + offset on."""
        slack = self.split.tokens - 1 - self.count * self.T
        ids = self.split.read(number * self.T + offset % (slack + 1), self.T + 1)
        return ids[:-1], ids[1:]


class PackedRows(Rows):
    """Whole examples packed best-fit into rows; padding only at the end of a row."""

    def __init__(self, split: Split, context_length: int, seed: int, end_id: int) -> None:
        super().__init__(split, context_length, seed)
        assert split.starts is not None and split.mask is not None
        self.end_id = end_id
        lengths = np.diff(np.append(split.starts, split.tokens))
        if lengths.max(initial=0) > context_length + 1:
            raise DataError(
                f"source {split.name} has an example of {lengths.max()} tokens and the context "
                f"has {context_length}; run 'nielsgpt caches' for this context"
            )
        self.rows = pack_rows(lengths, context_length + 1)
        self.lengths = lengths
        self.starts = split.starts
        self.mask = np.asarray(split.mask)
        assert self.mask.any(), "every cached example has a reply"

    @property
    def count(self) -> int:
        """The number of packed rows."""
        return len(self.rows)

    @property
    def fill_rate(self) -> float:
        """The share of the rows that is not padding."""
        return fill_rate(self.split.tokens, self.count, self.T)

    @cached_property
    def supervised_share(self) -> float:
        """The share of the targets that belong to replies."""
        return int(self.mask.sum()) / (self.count * self.T)

    def row(self, number: int, offset: int) -> tuple[Matrix, Matrix]:
        """The examples of one row, concatenated, then padding; packing ignores `offset`."""
        spans = [(int(self.starts[e]), int(self.lengths[e])) for e in self.rows[number]]
        ids = np.full(self.T + 1, self.end_id, dtype=np.int64)
        counts = np.zeros(self.T + 1, dtype=bool)
        used = sum(length for _, length in spans)
        ids[:used] = np.concatenate([self.split.read(*span) for span in spans])
        counts[:used] = np.concatenate([self.mask[start : start + n] for start, n in spans])
        return ids[:-1], np.where(counts[1:], ids[1:], IGNORED)


def count_windows(tokens: int, context_length: int) -> int:
    """The number of windows in an epoch, at any offset."""
    return max(1, (tokens - context_length) // context_length)


def fill_rate(tokens: int, rows: int, context_length: int) -> float:
    """The share of the rows that is not padding."""
    return tokens / (rows * (context_length + 1))


def pack_rows(lengths: NDArray[np.int64], capacity: int) -> list[list[int]]:
    """Pack examples into rows of at most `capacity` ids: best fit, longest first."""
    rows: list[list[int]] = []
    space: list[tuple[int, int]] = []  # (free ids, row), sorted
    for example in np.argsort(-lengths, kind="stable"):
        length = int(lengths[example])
        best = bisect_left(space, (length, -1))
        free, row = space.pop(best) if best < len(space) else (capacity, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(int(example))
        insort(space, (free - length, row))
    return rows


class Mixture:
    """Rows of several sources in fixed shares: batch `step` is a pure function of (seed, step)."""

    def __init__(
        self, sources: Mapping[str, Rows], shares: Mapping[str, float], batch_size: int, seed: int
    ) -> None:
        self.names = sorted(sources)
        self.sources = [(shares[name], sources[name]) for name in self.names]
        self.batch_size = batch_size
        self.seed = seed
        self.since = 0  # rows that were read before these shares held
        self.before = dict.fromkeys(self.names, 0)  # of them, the rows of each source

    def state(self, drawn: int) -> MixtureState:
        """The rows of each source after `drawn` rows, for `load`."""
        counts = dict(zip(self.names, self._draws_per_source(drawn), strict=True))
        return {"since": self.since, "before": dict(self.before), "read": counts}

    def load(self, drawn: int, state: MixtureState) -> None:
        """Continue after `drawn` rows. Under other shares each source continues where it was."""
        self.since, self.before = state["since"], self._of_sources(state["before"])
        if self.state(drawn)["read"] != state["read"]:
            self.since, self.before = drawn, self._of_sources(state["read"])

    def _of_sources(self, counts: Mapping[str, int]) -> dict[str, int]:
        return {name: counts.get(name, 0) for name in self.names}

    def batch(self, step: int, drawn: int | None = None) -> Batch:
        """The (B, T) batch of a step, counted from 0, after `drawn` rows of earlier steps.

        Where the batch size never changed, `drawn` is step B and can be left out.
        """
        drawn = step * self.batch_size if drawn is None else drawn
        before, after = (self._draws_per_source(drawn + n) for n in (0, self.batch_size))
        rows = [
            source.draw(number)
            for (_, source), start, end in zip(self.sources, before, after, strict=True)
            for number in range(start, end)
        ]
        key = mix_seed(self.seed, step, 1)
        return stack_rows(
            [rows[shuffle_index(place, len(rows), key)] for place in range(len(rows))]
        )

    def epochs(self, total: int) -> dict[str, float]:
        """The number of epochs of each source in the first `total` rows."""
        drawn = self._draws_per_source(total)
        counts = [rows.count for _, rows in self.sources]
        return {name: n / all_ for name, n, all_ in zip(self.names, drawn, counts, strict=True)}

    @property
    def supervised_share(self) -> float:
        """The share of a batch's targets that the loss counts."""
        mass = sum(share for share, _ in self.sources)
        return (
            sum(share * rows.supervised_share for share, rows in self.sources) / mass
            if mass
            else 1.0
        )

    def _draws_per_source(self, total: int) -> list[int]:
        """The number of rows from each source among the first `total`: shares in whole rows."""
        counts, left = [], total - self.since
        mass = sum(share for share, _ in self.sources)
        for share, _ in self.sources[:-1]:
            counts.append(int(left * (share / mass)))
            left, mass = left - counts[-1], mass - share
        return [self.before[name] + n for name, n in zip(self.names, [*counts, left], strict=True)]


def stack_rows(rows: list[tuple[Matrix, Matrix]]) -> Batch:
    """Stack rows of (T,) into a batch of (B, T)."""
    return Batch(np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows]))
