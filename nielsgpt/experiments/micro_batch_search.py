"""Search for the fastest and the largest micro-batch: double it, then bisect.

The search knows nothing of processes or models; it is given a function that measures one size.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from nielsgpt.experiments.worker import ResultRow

MeasureSize = Callable[[int], ResultRow]
SLOWER_SIZES = 2  # sizes in a row that must be slower than the best one to end the doubling
PRECISION = 8  # the largest size is found to one part in this many


@dataclass
class MicroBatchSearch:
    """The results of one configuration by micro-batch, and what was skipped for lack of time."""

    measure: MeasureSize
    max_size: int
    has_time: Callable[[], bool]
    rows: dict[int, ResultRow] = field(default_factory=dict)
    skipped: str | None = None

    def run(self) -> "MicroBatchSearch":
        """Measure; afterwards `best`, `largest` and `failure` are the outcome."""
        size = 1
        while self._runs(size) and size < self.max_size and not self._is_slowing_down():
            if not self._check_time(f"micro-batches above {size} were not tried"):
                return self
            size = min(2 * size, self.max_size)
        if self.rows[size]["status"] == "oom" and self.largest:
            self._bisect(self.largest, size)
        if self.largest > 1:
            self._refine()
        return self

    @property
    def best(self) -> ResultRow | None:
        """The fastest row; None if nothing ran."""
        return max(self._successes().values(), key=_speed, default=None)

    @property
    def fastest(self) -> int:
        """The micro-batch of the fastest row; 0 if nothing ran."""
        successes = self._successes()
        return max(successes, key=lambda size: _speed(successes[size]), default=0)

    @property
    def largest(self) -> int:
        """The largest micro-batch that ran; 0 if nothing did."""
        return max(self._successes(), default=0)

    @property
    def failure(self) -> ResultRow | None:
        """The row of the smallest micro-batch that did not run; None if all ran."""
        failed = [size for size, row in self.rows.items() if row["status"] != "ok"]
        return self.rows[min(failed)] if failed else None

    def _successes(self) -> dict[int, ResultRow]:
        return {size: row for size, row in self.rows.items() if row["status"] == "ok"}

    def _runs(self, size: int) -> bool:
        if size not in self.rows:
            self.rows[size] = self.measure(size)
        return bool(self.rows[size]["status"] == "ok")

    def _is_slowing_down(self) -> bool:
        """True if the largest sizes were all slower than the best: larger ones will be too."""
        speeds = [_speed(row) for _, row in sorted(self._successes().items())]
        return len(speeds) > SLOWER_SIZES and max(speeds[-SLOWER_SIZES:]) < max(
            speeds[:-SLOWER_SIZES]
        )

    def _bisect(self, fits: int, fails: int) -> None:
        while fails - fits > max(1, fits // PRECISION):
            if not self._check_time(f"the largest micro-batch lies between {fits} and {fails}"):
                return
            middle = (fits + fails) // 2
            fits, fails = (middle, fails) if self._runs(middle) else (fits, middle)

    def _refine(self) -> None:
        """Try half of the largest size and, if the fastest is not the largest, its neighbors."""
        sizes = sorted(self._successes())
        index = sizes.index(self.fastest)
        refinements = [self.largest // 2]
        if index < len(sizes) - 1:
            neighbors = sizes[max(0, index - 1) : index + 2]
            refinements += [(a + b) // 2 for a, b in itertools.pairwise(neighbors)]
        for size in refinements:
            if size in self.rows:
                continue
            if not self._check_time(f"micro-batches near {self.fastest} were not tried"):
                return
            self._runs(size)

    def _check_time(self, skipped: str) -> bool:
        """True while there is time; otherwise record what is skipped."""
        if self.has_time():
            return True
        self.skipped = skipped
        return False


def _speed(row: ResultRow) -> float:
    return float(row["tokens_per_second"])
