"""The micro-batches worth trying: doubled until one fails or the curve bends, then bisected.

Knows nothing of processes or models: it is given a function that measures one size.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from nielsgpt.experiments.job import Row

Measure = Callable[[int], Row]
BENDING = 2  # sizes in a row that must be slower than the best one
FINE = 8  # the largest size is known to one part in so many


@dataclass
class MicroBatchSearch:
    """What was measured of one configuration, by micro-batch, and what was left out for time."""

    measure: Measure
    most: int
    in_time: Callable[[], bool]
    rows: dict[int, Row] = field(default_factory=dict)
    cut: str | None = None

    def run(self) -> "MicroBatchSearch":
        """Measure; afterwards `best`, `largest` and `failure` tell what was found."""
        size = 1
        while self._fits(size) and size < self.most and not self._bent():
            if not self._may_go_on(f"micro-batches above {size} were not tried"):
                return self
            size = min(2 * size, self.most)
        if self.rows[size]["status"] == "oom" and self.largest:
            self._bisect(self.largest, size)
        if self.largest > 1:
            self._refine()
        return self

    @property
    def best(self) -> Row | None:
        """The fastest row; None where nothing ran."""
        return max(self._good().values(), key=_speed, default=None)

    @property
    def fastest(self) -> int:
        """The micro-batch of the fastest row; 0 where nothing ran."""
        good = self._good()
        return max(good, key=lambda size: _speed(good[size]), default=0)

    @property
    def largest(self) -> int:
        """The largest micro-batch that ran; 0 where nothing did."""
        return max(self._good(), default=0)

    @property
    def failure(self) -> Row | None:
        """The row of the smallest micro-batch that did not run."""
        failed = [size for size, row in self.rows.items() if row["status"] != "ok"]
        return self.rows[min(failed)] if failed else None

    def _good(self) -> dict[int, Row]:
        return {size: row for size, row in self.rows.items() if row["status"] == "ok"}

    def _fits(self, size: int) -> bool:
        if size not in self.rows:
            self.rows[size] = self.measure(size)
        return bool(self.rows[size]["status"] == "ok")

    def _bent(self) -> bool:
        """Whether the newest sizes were all slower than the best: larger ones will be too."""
        speeds = [_speed(row) for _, row in sorted(self._good().items())]
        return len(speeds) > BENDING and max(speeds[-BENDING:]) < max(speeds[:-BENDING])

    def _bisect(self, good: int, bad: int) -> None:
        while bad - good > max(1, good // FINE):
            if not self._may_go_on(f"the largest micro-batch lies between {good} and {bad}"):
                return
            middle = (good + bad) // 2
            good, bad = (middle, bad) if self._fits(middle) else (good, middle)

    def _refine(self) -> None:
        """The largest and its half; where neither ends the curve, the sizes around the fastest."""
        near = [self.largest // 2]
        sizes = sorted(self._good())
        place = sizes.index(self.fastest)
        if place < len(sizes) - 1:
            around = sizes[max(0, place - 1) : place + 2]
            near += [(a + b) // 2 for a, b in itertools.pairwise(around)]
        for size in near:
            if size in self.rows:
                continue
            if not self._may_go_on(f"micro-batches beside {self.fastest} were not tried"):
                return
            self._fits(size)

    def _may_go_on(self, otherwise: str) -> bool:
        """Whether there is time; where not, note what was left out."""
        if self.in_time():
            return True
        self.cut = otherwise
        return False


def _speed(row: Row) -> float:
    return float(row["tokens_per_second"])
