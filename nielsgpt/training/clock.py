"""A time budget: how many steps still fit into it, from the pace so far."""

import time
from collections.abc import Callable

PLAN_EVERY = 0.01  # of the budget, in seconds between plans
SETTLING_STEPS = 2  # the first ones hold compilation


class Clock:
    """Plans steps so that a phase ends `budget_s` seconds after it began.

    `spent_s` are the seconds of earlier sessions of the same run. The pace of a step is all that
    happened since the first steps, evaluations and saves included, over the steps; towards the end
    it is that of the newest quarter, so that a machine that slows down is noticed.
    """

    def __init__(
        self, budget_s: float, spent_s: float = 0.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.budget_s, self.now = budget_s, now
        self._began = now() - spent_s
        self._marks: list[tuple[int, float]] = []  # (step, seconds) since the first settled one
        self._planned = 0.0
        self._reserved = 0.0

    @property
    def spent_s(self) -> float:
        """Seconds since the run began, its earlier sessions included."""
        return self.now() - self._began

    def reserve(self, seconds: float) -> None:
        """Keep so many seconds for what follows the last step."""
        self._reserved = seconds

    def end(self, step: int, first: int) -> int | None:
        """The step at which to end, seen from `step` of a session that began at step `first`.

        None while it is too early to say, or too soon after the last plan.
        """
        spent = self.spent_s
        if step - first < SETTLING_STEPS:
            return None
        self._marks.append((step, spent))
        steps, seconds = self._stretch()
        if steps < 1:
            return None
        pace = seconds / steps
        left = self.budget_s - spent - self._reserved
        soon = left < 20 * pace
        if not soon and spent - self._planned < PLAN_EVERY * self.budget_s:
            return None
        self._planned = spent
        return step + max(0, round(left / pace))

    def _stretch(self) -> tuple[int, float]:
        """Steps and seconds of the newest quarter of the session, at least eight steps."""
        last = self._marks[-1]
        quarter = max(8, len(self._marks) // 4)
        before = self._marks[max(0, len(self._marks) - 1 - quarter)]
        return last[0] - before[0], last[1] - before[1]
