"""How far a phase is, from 0 to 1, and the learning rate there.

The rate rises in a line to its peak, the warm-up, and falls as progress goes from 0 to 1. A phase
with a time budget moves its end as it learns how fast it is; both lines then bend at the last step
that was made, so the rate never jumps and the last step is at progress 1 all the same. However
little time is left, the rate falls by at most `steepest_fall` per step: the run then ends late.
"""

import math
from dataclasses import dataclass
from typing import Self

from nielsgpt.checkpoint.contents import ScheduleState
from nielsgpt.config.settings import PhaseSettings

FAR = 10**9  # steps: the end of a phase whose pace is not known yet

COOLED = 0.05  # of the peak: where a run with a time budget must end
STEEPEST = 0.1  # of the peak: the most that the rate falls per step when the end moves


@dataclass(frozen=True)
class LRSchedule:
    """The rate's share of its peak is `risen` at step `rising` and 1 from step `warmup` on.

    Progress is `progress` at step `start` and 1 at step `end` - 1, the last one.
    """

    warmup: int
    start: int
    progress: float
    end: int
    rising: int = 0
    risen: float = 0.0

    @classmethod
    def for_phase(cls, phase_settings: PhaseSettings) -> Self:
        """The horizon of a phase that has not begun."""
        end = phase_settings.max_steps if phase_settings.minutes is None else FAR
        return cls(phase_settings.warmup_steps, phase_settings.warmup_steps, 0.0, end)

    @property
    def known_end(self) -> int:
        """The number of steps in all; 0 while the pace is not known yet."""
        return 0 if self.end == FAR else self.end

    def warmup_share(self, step: int) -> float:
        """The share of its peak that the warm-up lets the rate have at a step, counted from 0."""
        way = self.warmup - self.rising
        if step >= self.warmup or way <= 0:
            return 1.0
        return self.risen + (1 - self.risen) * max(0, step - self.rising) / way

    def progress_at(self, step: int) -> float:
        """The progress at a step, counted from 0."""
        way = max(1, self.end - 1 - self.start)
        return min(1.0, self.progress + (1 - self.progress) * max(0, step - self.start) / way)

    def with_end(self, step: int, end: int, phase_settings: PhaseSettings) -> "LRSchedule":
        """The schedule with another end, unchanged before `step`, which is the next to be made.

        What is left of the warm-up takes at most a tenth of what is left of the steps. The end is
        later than asked where the rate would otherwise fall faster than `steepest_fall`.
        """
        last = max(0, step - 1)
        rises = last < self.warmup
        progress, risen = self.progress_at(last), self.warmup_share(last)
        share = risen * (1 - DECAYS[phase_settings.schedule](progress, phase_settings))
        most = steepest_fall(end, phase_settings)
        slope = STEEPNESS[phase_settings.schedule] / most
        end = max(end, last + 1 + math.ceil(slope * share))
        warmup = min(self.warmup, last + (end - last) // 10)
        if rises and warmup > last and end - 1 - warmup >= slope:
            return LRSchedule(warmup, warmup, 0.0, end, last, risen)
        if rises or (1 - progress) * natural_fall(phase_settings) > most * (end - 1 - last):
            # Too few steps are left to rise, or to stay at the peak.
            progress = latest_progress(share, phase_settings)
        if rises:
            return LRSchedule(last, last, progress, end)
        return LRSchedule(self.warmup, last, progress, end, self.rising, self.risen)

    def extend(self, step: int, share: float) -> "LRSchedule":
        """The horizon where it still has steps; else one that continues with a larger time budget,
        of which `share` is spent."""
        if step < self.end:
            return self
        return LRSchedule(min(self.warmup, step), step, min(1.0, share), FAR)

    def state(self) -> ScheduleState:
        """The same as plain values."""
        return {
            "warmup": self.warmup,
            "start": self.start,
            "progress": self.progress,
            "end": self.end,
            "rising": self.rising,
            "risen": self.risen,
        }

    @classmethod
    def load(cls, state: ScheduleState) -> Self:
        """The schedule that `state()` was made from."""
        return cls(**state)


def lr_at(step: int, phase_settings: PhaseSettings, schedule: LRSchedule | None = None) -> float:
    """The learning rate of optimizer step `step`, counted from 0: 0 at 0, the peak at the end of
    the warm-up, the minimum at the last step, and with a time budget a twentieth of the peak at
    most."""
    schedule = schedule or LRSchedule.for_phase(phase_settings)
    peak, floor = phase_settings.learning_rate, phase_settings.min_learning_rate
    if phase_settings.minutes is not None:
        floor = min(floor, COOLED * peak)
    if step < schedule.warmup:
        return peak * schedule.warmup_share(step)
    return peak + (floor - peak) * DECAYS[phase_settings.schedule](
        schedule.progress_at(step), phase_settings
    )


def _cosine(progress: float, phase_settings: PhaseSettings) -> float:
    return (1 - math.cos(math.pi * progress)) / 2


def _trapezoid(progress: float, phase_settings: PhaseSettings) -> float:
    start = 1 - phase_settings.cooldown_fraction
    return (
        max(0.0, progress - start) / phase_settings.cooldown_fraction if progress > start else 0.0
    )


def _constant(progress: float, phase_settings: PhaseSettings) -> float:
    return 0.0


DECAYS = {"warmup_cosine": _cosine, "trapezoid": _trapezoid, "constant": _constant}
# How much steeper the steepest step of a fall is than its mean one, wherever the fall begins.
STEEPNESS = {"warmup_cosine": 2.0, "trapezoid": 1.0, "constant": 0.0}


def natural_fall(phase_settings: PhaseSettings) -> float:
    """The steepest fall of a whole schedule, as a share of the peak for all of its progress."""
    if phase_settings.schedule == "trapezoid":
        return 1 / max(phase_settings.cooldown_fraction, 1e-6)
    return math.pi / 2


def steepest_fall(end: int, phase_settings: PhaseSettings) -> float:
    """The most that the rate may fall in a step after the end moved, as a share of the peak.

    A short run, whose plan alone falls faster than `STEEPEST`, may fall twice as fast as its plan.
    """
    return max(STEEPEST, 2 * natural_fall(phase_settings) / max(1, end))


def latest_progress(share: float, phase_settings: PhaseSettings) -> float:
    """The last progress at which the rate is this share of its peak."""
    if phase_settings.schedule == "trapezoid":
        return 1 - phase_settings.cooldown_fraction * share
    return math.acos(max(-1.0, min(1.0, 2 * share - 1))) / math.pi
