"""A time budget: how many steps still fit into it, from the pace so far."""

import time
from bisect import bisect_right
from collections.abc import Callable

PLAN_EVERY = 0.01  # of the budget, in seconds between plans
SOON = 20  # steps before the end from which on every step is planned
SETTLING_STEPS = 2  # the first ones of a session hold compilation
MOST_MARKS = 512


class TimeBudget:
    """Plans steps so that a phase ends `budget_s` seconds after it began.

    `spent_s` are the seconds of earlier sessions of the same run. The pace is that of the newest
    quarter of the session's steps, so that a machine that slows down is noticed; evaluations and
    saves, which come every so many steps, are counted apart and one by one.
    """

    def __init__(
        self, budget_s: float, spent_s: float = 0.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.budget_s, self.now = budget_s, now
        self._began = now() - spent_s
        self._marks: list[tuple[int, float]] = []  # (step, seconds without pauses)
        self._pauses: dict[str, tuple[float, int]] = {}  # the newest one's seconds, steps between
        self._paused, self._planned = 0.0, 0.0

    @property
    def spent_s(self) -> float:
        """Seconds since the run began, its earlier sessions included."""
        return self.now() - self._began

    def is_warmed_up(self, step: int, first: int) -> bool:
        """Whether this step ends what a session that began at step `first` needs to warm up."""
        return step - first == SETTLING_STEPS

    def record_pause(self, kind: str, seconds: float, every: int) -> None:
        """Take note of something that comes every so many steps, and once more after the last."""
        self._paused += seconds
        self._pauses[kind] = seconds, every

    def last_step(self, step: int, first: int) -> int | None:
        """The step at which to end, seen from `step` of a session that began at step `first`.

        None while it is too early to say, or too soon after the last plan. Never this step itself,
        so that a last one can be made at the lowest rate.
        """
        if step - first < SETTLING_STEPS:
            return None
        spent = self.spent_s
        self._mark(step, spent - self._paused)
        pace = self._pace(first)
        if pace is None:
            return None
        left = self.budget_s - spent - sum(seconds for seconds, _ in self._pauses.values())
        if left > SOON * pace and spent - self._planned < PLAN_EVERY * self.budget_s:
            return None
        self._planned = spent
        return step + max(1, self._fitting(step, left, pace))

    def _fitting(self, step: int, left: float, pace: float) -> int:
        """The steps from `step` on that fit into `left` seconds, with what comes between them."""

        def cost(count: int) -> float:
            return count * pace + sum(
                seconds * ((step + count - 1) // every - step // every)
                for seconds, every in self._pauses.values()
            )

        most = max(0, int(left / pace)) + 1
        return bisect_right(range(1, most + 1), left + pace / 2, key=cost)

    def _mark(self, step: int, seconds: float) -> None:
        if self._marks and step <= self._marks[-1][0]:
            self._marks = []  # the run went back
        self._marks.append((step, seconds))
        if len(self._marks) > MOST_MARKS:
            del self._marks[1 : -MOST_MARKS // 4 : 2]

    def _pace(self, first: int) -> float | None:
        """Seconds a step over the newest quarter of the session, eight steps at the least."""
        step, seconds = self._marks[-1]
        oldest = step - max(8, (step - first) // 4)
        place = max(0, bisect_right(self._marks, oldest, key=lambda mark: mark[0]) - 1)
        before, then = self._marks[place]
        # A clock that stood still must not promise endless steps.
        return max((seconds - then) / (step - before), 1e-6) if step > before else None
