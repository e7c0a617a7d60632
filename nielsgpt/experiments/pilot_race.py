"""Which pilots are trained: each shape first, then what may yet be best.

Pilots are equal in time, not in steps, so that the end is as far from one as from another: a law
that is a little wrong is then wrong alike. Each shape has a short and a long one, which show how
fast it learns. Then, again and again, one law is drawn from those that agree with the pilots so
far, and what it says ends best gets its pilot (Thompson 1933): time goes to the contenders.
"""

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from nielsgpt.config.settings import ModelSettings
from nielsgpt.experiments.scaling_law import LossForecast
from nielsgpt.experiments.throughput import CandidateSpeed

SHORT, LONG, LONGER = 1 / 24, 1 / 8, 1 / 4  # of the pilots' time: what a pilot takes
FEW_SHAPES = 3  # with more of them all pilots are shorter, so that there is time for a race
OF_THE_RUN = 0.5  # what a longer one takes of the run's time, at most
FEWEST_STEPS = 30  # below them a loss says little of the law
PILOTS_S = (180.0, 600.0, 2400.0)  # at least; until a tenth of the run is more; at most
LAWS = 64  # drawn before an option without a pilot left ends the race


@dataclass(frozen=True)
class PilotBudget:
    """Seconds of pretraining, and of pilots before it."""

    run_s: float
    pilot_s: float

    @classmethod
    def usual(cls, run_s: float, pilot_s: float | None = None) -> "PilotBudget":
        """Where nobody says: half the time for pilots of a short run, a tenth of a long one's."""
        least, enough, most = PILOTS_S
        wanted = max(least, min(run_s / 2, enough), min(run_s / 10, most))
        return cls(run_s, pilot_s or wanted)


@dataclass(frozen=True)
class PilotRound:
    """One pilot: an option and its steps."""

    way: CandidateSpeed
    steps: int

    @property
    def seconds(self) -> float:
        """What its steps should take; a pilot is never compiled."""
        return self.steps * self.way.trial_s


@dataclass
class PilotRace:
    """The pilots of some options.

    `forecast` tells, by the pilots that have run where they are `enough`, what all of the options
    should end with, drawn together.
    """

    ways: Sequence[CandidateSpeed]
    budget: PilotBudget
    enough: Callable[[], bool]
    forecast: Callable[[], LossForecast]
    spent_s: float = 0.0
    run: list[PilotRound] = field(default_factory=list)

    def legs(self) -> Iterator[PilotRound]:
        """The pilots one after the other, until nothing that may be best fits into the time."""
        first = middle_of_ranking([way for way in self.ways if self._leg(way, LONG)])
        for share in (SHORT, LONG):
            yield from self._taken(self._leg(way, share) for way in first)
        while (leg := self._next()) is not None:
            yield from self._taken([leg])

    def _next(self) -> PilotRound | None:
        """The next pilot of the first winner, of some laws, that has one left; any where there is
        no law yet."""
        if not self.enough():
            every = itertools.product((SHORT, LONG, LONGER), range(len(self.ways)))
            return next(filter(None, (self._left(n, share) for share, n in every)), None)
        draws = self.forecast().draws
        winners = draws[len(self.run) :: len(draws) // LAWS].argmin(axis=1)
        turns = ((int(n), share) for share in (LONG, LONGER, SHORT) for n in winners)
        return next(filter(None, itertools.starmap(self._left, turns)), None)

    def _left(self, number: int, share: float) -> PilotRound | None:
        """An option's pilot of such a share, where it has not had it and it fits into the time."""
        leg = self._leg(self.ways[number], share)
        if leg is None or leg in self.run or self.spent_s + leg.seconds > self.budget.pilot_s:
            return None
        return leg

    def _taken(self, legs: Iterable[PilotRound | None]) -> Iterator[PilotRound]:
        for leg in legs:
            if leg is not None and leg not in self.run:
                self.run.append(leg)
                self.spent_s += leg.seconds
                yield leg

    def _leg(self, way: CandidateSpeed, share: float) -> PilotRound | None:
        """A pilot of such a share, no longer than the run itself; None where it has too few steps
        to say much and is not the whole run."""
        shapes = len({way.candidate.shape for way in self.ways})
        most = LONGER * self.budget.pilot_s * min(1.0, FEW_SHAPES / shapes)
        longest = min(most, OF_THE_RUN * self.budget.run_s)
        steps = longest * share / LONGER / way.trial_s
        steps = min(steps, way.steps)
        return (
            PilotRound(way, round_seconds(steps)) if steps >= min(FEWEST_STEPS, way.steps) else None
        )


def middle_of_ranking(ways: Sequence[CandidateSpeed]) -> list[CandidateSpeed]:
    """Each shape in the batch that is nearest to the middle of all."""
    of_shape: dict[ModelSettings, list[CandidateSpeed]] = {}
    for way in ways:
        of_shape.setdefault(way.candidate.shape, []).append(way)
    middle = statistics.median_low(sorted({way.candidate.batch_size for way in ways}) or [1])

    def apart(way: CandidateSpeed) -> float:
        return abs(math.log(way.candidate.batch_size / middle))

    return [min(own, key=apart) for own in of_shape.values()]


def round_seconds(steps: float) -> int:
    """Two digits are enough, and the same after a little noise in the speed."""
    whole = max(1, round(steps))
    unit = 10 ** max(0, len(str(whole)) - 2)
    return int(whole // unit * unit)
