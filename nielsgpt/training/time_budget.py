"""A time budget: how many steps still fit into it, from the pace so far."""

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from statistics import median_low

PLAN_EVERY = 0.01  # of the budget, in seconds between plans
SOON = 20  # steps before the end from which on every step is planned
SETTLING_STEPS = 2  # the first ones of a session hold compilation
FEW_STEPS = 4  # below so many step times the shortest counts
MOST_STEPS = 512  # step times kept
MOST_PAUSES = 5  # evaluations, or saves, kept
OUTLIER = 4.0  # times the median: a longer step counts as this much
FIRST_PAUSE = 0.02, 0.15  # of the budget: what a first pause may take unasked, and at most
GRACE = 0.01  # of the budget: time to bring the rate down when a stall has used up the rest


class TimeBudget:
    """Plans steps so that a phase ends `budget_s` seconds after it began.

    `spent_s` are the seconds of earlier sessions of the same run. The pace is that of the newest
    quarter of the session's steps, so that a machine that slows down is noticed. Evaluations and
    saves are counted apart. No estimate follows a single sample: a stalled step is clipped, and
    pauses are medians.
    """

    def __init__(
        self, budget_s: float, spent_s: float = 0.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.budget_s, self.now = budget_s, now
        self._began = now() - spent_s
        self._mark: tuple[int, float] | None = None  # (step, seconds without pauses)
        self._times: deque[float] = deque(maxlen=MOST_STEPS)
        self._pauses: dict[str, deque[float]] = {}
        self._every: dict[str, int] = {}
        self._passes: dict[str, int] = {}
        self._paused = 0.0
        self._planned = 0.0
        self._end: int | None = None

    @property
    def spent_s(self) -> float:
        """Seconds since the run began, its earlier sessions included."""
        return self.now() - self._began

    def is_warmed_up(self, step: int, first: int) -> bool:
        """Whether this step ends what a session that began at step `first` needs to warm up."""
        return step - first == SETTLING_STEPS

    def record_pause(self, kind: str, seconds: float, every: int, passes: int = 0) -> None:
        """Record a pause that comes every `every` steps, and once more after the last.

        Until there is a second sample it counts as `passes` steps at most, or a small share of the
        budget.
        """
        self._paused += seconds
        self._pauses.setdefault(kind, deque(maxlen=MOST_PAUSES)).append(seconds)
        self._every[kind], self._passes[kind] = every, passes

    def samples(self, kind: str) -> int:
        """The number of pauses of this kind that were timed and kept."""
        return len(self._pauses.get(kind, ()))

    def last_step(self, step: int, first: int) -> int | None:
        """The step at which to end, seen from `step` of a session that began at step `first`.

        None while it is too early to say, or too soon after the last plan. Never this step itself,
        so that a last one can be made at the lowest rate.
        """
        spent = self.spent_s
        pace = self._pace(step, first, spent - self._paused)
        if pace is None or step - first <= SETTLING_STEPS:
            return None
        pauses = {kind: self._pause(kind, pace) for kind in self._pauses}
        left = self.budget_s - spent - sum(pauses.values())
        if left > SOON * pace and spent - self._planned < PLAN_EVERY * self.budget_s:
            return None
        self._planned = spent
        grace = int(GRACE * self.budget_s / pace)
        if self._end is not None:  # an end that is near does not move away again
            grace = min(grace, self._end - step)
        self._end = step + max(1, grace, self._fitting(step, left, pace, pauses))
        return self._end

    def _fitting(self, step: int, left: float, pace: float, pauses: dict[str, float]) -> int:
        """The steps from `step` on that fit into `left` seconds, with what comes between them."""

        def cost(count: int) -> float:
            return count * pace + sum(
                seconds * ((step + count - 1) // self._every[kind] - step // self._every[kind])
                for kind, seconds in pauses.items()
            )

        most = max(0, int(left / pace)) + 1
        return bisect_right(range(1, most + 1), left + pace / 2, key=cost)

    def _pause(self, kind: str, pace: float) -> float:
        """Seconds of a typical pause of this kind."""
        seconds = self._pauses[kind]
        if len(seconds) > 1:
            return median_low(seconds)
        least, most = (share * self.budget_s for share in FIRST_PAUSE)
        return min(seconds[0], max(least, min(most, self._passes[kind] * pace)))

    def _pace(self, step: int, first: int, seconds: float) -> float | None:
        """Seconds a step over the newest quarter of the session, eight steps at the least."""
        before, self._mark = self._mark, (step, seconds)
        if before is None or step <= before[0]:
            self._times.clear()  # the session began, or the run went back
            return None
        self._times.append((seconds - before[1]) / (step - before[0]))
        newest = list(self._times)[-max(8, (step - first) // 4) :]
        if len(newest) < FEW_STEPS:
            return max(min(newest), 1e-6)
        most = OUTLIER * median_low(newest)
        # A clock that stood still must not promise endless steps.
        return max(sum(min(most, time_s) for time_s in newest) / len(newest), 1e-6)
