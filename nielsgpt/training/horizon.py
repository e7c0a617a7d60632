"""How far a phase is, from 0 to 1, and the learning rate there.

Progress is a line in steps from the end of the warm-up to the last step. A phase with a time budget
moves its end as it learns how fast it is; the line then bends where it is, so the rate never jumps
and the last step is always at progress 1.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from nielsgpt.settings import PhaseSettings


@dataclass(frozen=True)
class Horizon:
    """Progress is `progress` at step `start` and 1 at step `end` - 1, the last one."""

    warmup: int
    start: int
    progress: float
    end: int

    @classmethod
    def whole(cls, phase: PhaseSettings) -> Self:
        """The horizon of a phase that knows its steps."""
        return cls(phase.warmup_steps, phase.warmup_steps, 0.0, phase.max_steps)

    def at(self, step: int) -> float:
        """The progress at a step, counted from 0."""
        way = max(1, self.end - 1 - self.start)
        return min(1.0, self.progress + (1 - self.progress) * max(0, step - self.start) / way)

    def moved(self, step: int, end: int) -> "Horizon":
        """The horizon that ends at another step, unchanged up to this one.

        A warm-up longer than a tenth of the whole is cut short.
        """
        warmup = min(self.warmup, max(step, end // 10))
        return Horizon(warmup, max(step, warmup), self.at(step), end)

    def state(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Self:
        """What `state()` was made from."""
        return cls(**state)


def lr_at(step: int, phase: PhaseSettings, horizon: Horizon | None = None) -> float:
    """The learning rate of optimizer step `step`, counted from 0: 0 at 0, the peak at the end of
    the warm-up, the minimum at the last step."""
    horizon = horizon or Horizon.whole(phase)
    peak, floor = phase.learning_rate, phase.min_learning_rate
    if step < horizon.warmup:
        return peak * step / horizon.warmup
    return peak + (floor - peak) * FALLS[phase.schedule](horizon.at(step), phase)


def _cosine(progress: float, phase: PhaseSettings) -> float:
    return (1 - math.cos(math.pi * progress)) / 2


def _trapezoid(progress: float, phase: PhaseSettings) -> float:
    start = 1 - phase.cooldown_fraction
    return max(0.0, progress - start) / phase.cooldown_fraction if progress > start else 0.0


def _constant(progress: float, phase: PhaseSettings) -> float:
    return 0.0


FALLS = {"warmup_cosine": _cosine, "trapezoid": _trapezoid, "constant": _constant}
