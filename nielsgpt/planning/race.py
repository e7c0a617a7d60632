"""Which pilots are trained: a few of every kind first, then those of whatever may yet be best.

The first ones are a cross over sizes and batches, so that the law knows what each is worth. Then,
again and again, one law is drawn from those that agree with the pilots so far, and the option that
it says ends best gets its next longer pilot (Thompson 1933): time goes to the contenders, and a
long pilot says more of the end than ten short ones.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from nielsgpt.bench.fit import Forecast
from nielsgpt.planning.speeds import Option
from nielsgpt.settings import ModelSettings

LONGER, RUNGS = 3.0, 3  # a pilot takes three times the one before, up to the third
LONGEST, OF_THE_RUN = 0.25, 0.5  # the longest pilot's share of the pilots' time, of the run's
FEWEST_STEPS = 40  # below them a loss says little of the law
PILOT_SHARE, PILOTS_S = 0.1, (180.0, 2400.0)  # of the run; seconds at least and at most
LAWS = 64  # drawn before an option without a longer pilot ends the race


@dataclass(frozen=True)
class Budget:
    """Seconds of pretraining, and of pilots before it."""

    run_s: float
    pilot_s: float

    @classmethod
    def usual(cls, run_s: float, pilot_s: float | None = None) -> "Budget":
        """A tenth of the time for pilots, within bounds, where nobody says."""
        least, most = PILOTS_S
        return cls(run_s, pilot_s or min(max(PILOT_SHARE * run_s, least), most))


@dataclass(frozen=True)
class Leg:
    """One pilot: an option and its steps."""

    way: Option
    steps: int

    @property
    def seconds(self) -> float:
        """What its steps should take."""
        return self.steps * self.way.step_s


@dataclass
class Race:
    """The pilots of some options.

    `forecast` tells, by the pilots that have run where they are `enough`, what all of the options
    should end with, drawn together.
    """

    ways: Sequence[Option]
    budget: Budget
    enough: Callable[[], bool]
    forecast: Callable[[], Forecast]
    spent_s: float = 0.0
    run: list[Leg] = field(default_factory=list)

    def legs(self) -> Iterator[Leg]:
        """The pilots one after the other, until nothing that may be best fits into the time."""
        cross = spread([way for way in self.ways if self._leg(way, 0)])
        for rung in range(RUNGS - 1):
            yield from self._taken(self._leg(way, rung) for way in cross)
        while self.enough() and (leg := self._next()) is not None:
            yield from self._taken([leg])

    def _next(self) -> Leg | None:
        """The next pilot of the first winner, of some laws, that has one left."""
        left = {n: self._rest(way) for n, way in enumerate(self.ways)}
        if not any(left.values()):
            return None
        draws = self.forecast().draws
        winners = draws[len(self.run) :: len(draws) // LAWS].argmin(axis=1)
        return next((left[n][0] for n in map(int, winners) if left[n]), None)

    def _rest(self, way: Option) -> list[Leg]:
        """The pilots that an option has not had and that fit into the time, shortest first."""
        left = self.budget.pilot_s - self.spent_s
        legs = [leg for rung in range(RUNGS) if (leg := self._leg(way, rung))]
        return [leg for leg in legs if leg not in self.run and leg.seconds <= left]

    def _taken(self, legs: Iterable[Leg | None]) -> Iterator[Leg]:
        for leg in legs:
            if leg is not None and leg not in self.run:
                self.run.append(leg)
                self.spent_s += leg.seconds
                yield leg

    def _leg(self, way: Option, rung: int) -> Leg | None:
        """A pilot of a rung; None where even the longest is too short for this option."""
        longest = min(LONGEST * self.budget.pilot_s, OF_THE_RUN * self.budget.run_s)
        if FEWEST_STEPS * way.step_s > longest:
            return None
        seconds = longest / LONGER ** (RUNGS - 1 - rung)
        return Leg(way, rounded(max(FEWEST_STEPS, seconds / way.step_s)))


def spread(ways: Sequence[Option]) -> list[Option]:
    """A cross: each shape in the batch that is nearest to the middle one, and the middle shape in
    its outermost ones too."""
    if not ways:
        return []
    middle = statistics.median_low(sorted({way.candidate.batch_size for way in ways}))
    shapes = sorted({way.candidate.shape for way in ways}, key=_size)
    of_shape = {shape: [w for w in ways if w.candidate.shape == shape] for shape in shapes}
    found = [min(own, key=lambda way: _apart(way, middle)) for own in of_shape.values()]
    own = sorted(of_shape[shapes[len(shapes) // 2]], key=lambda way: way.candidate.batch_size)
    return list(dict.fromkeys([*found, own[0], own[-1]]))


def rounded(steps: float) -> int:
    """Two digits are enough, and the same after a little noise in the speed."""
    whole = max(1, round(steps))
    unit = 10 ** max(0, len(str(whole)) - 2)
    return int(whole // unit * unit)


def _size(shape: ModelSettings) -> tuple[int, int]:
    return shape.n_layer * shape.n_embd**2, shape.n_layer


def _apart(way: Option, batch_size: int) -> float:
    return abs(math.log(way.candidate.batch_size / batch_size))
