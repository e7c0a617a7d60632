"""A plan: the speed of each candidate, pilots of some, the law they leave open, a ranking."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nielsgpt.bench.fit import Fit, Forecast, Place, unique
from nielsgpt.bench.job import Row
from nielsgpt.bench.ledger import Ledger
from nielsgpt.errors import RunError
from nielsgpt.planning.candidates import Candidate, settled
from nielsgpt.planning.pilot import Pilot
from nielsgpt.planning.speeds import Option, Speeds, limits
from nielsgpt.progress import Progress
from nielsgpt.settings import ModelSettings, Settings

log = logging.getLogger("nielsgpt")
START_S = 8.0  # until a run makes its first step
LONGER = 3.0  # times the time: the next pilot of a candidate
MANY_S = 600.0  # of pilots: from here on three of each candidate, else two
FEWEST_STEPS, FEWEST_PILOTS = 40, 4
MASS = 0.9  # of the probability that an interval holds


@dataclass(frozen=True)
class Budget:
    """Seconds of pretraining, and of pilots before it."""

    run_s: float
    pilot_s: float


@dataclass(frozen=True)
class Plan:
    """The options, the best first; their losses drawn together, in the same order."""

    options: list[Option]
    forecast: Forecast
    pilots: int

    @property
    def chosen(self) -> Option:
        """The option that is expected to end best."""
        return self.options[0]


class Planner:
    """Measures what a plan needs, and keeps it: nothing is measured twice."""

    def __init__(
        self,
        settings: Settings,
        root: str,
        corpus: Mapping[str, int],
        data: str,
        speeds: Speeds,
        pilots: Ledger,
    ) -> None:
        self.settings, self.root, self.data = settings, root, data
        self.corpus, self.speeds, self.pilots = corpus, speeds, pilots
        self.asked: Sequence[int] = ()

    def plan(self, candidates: Sequence[Candidate], budget: Budget) -> Plan:
        """The candidates that run here, ranked by the bits per byte that they should end with."""
        ways = self.speeds.ways(candidates, budget.run_s, self.asked)
        done = self._pilots(ways, budget)
        pause = float(np.median([row["evaluation_s"] for _, row in done]))
        options = [self._option(way, budget.run_s, pause) for way in ways]
        places = [self._place(way, row["params"], row["tokens"]) for way, row in done]
        fit = Fit(places, [row["bits_per_byte"] for _, row in done])
        runs = [self._place(o, o.row["params"], o.tokens) for o in options]
        order = np.argsort(fit.forecast(runs).middle, kind="stable")
        return Plan([options[n] for n in order], fit.forecast([runs[n] for n in order]), len(done))

    def worth(self, tokens: float) -> float:
        """The tokens that so many are worth, read from the mix of the sources."""
        mix = self.settings.data.mix_pretrain
        return sum(unique(share * tokens, self.corpus[name]) for name, share in mix.items())

    def epochs(self, tokens: float) -> dict[str, float]:
        """How often each source is read."""
        mix = self.settings.data.mix_pretrain
        return {name: share * tokens / self.corpus[name] for name, share in mix.items()}

    def _option(self, way: Option, seconds: float, pause_s: float) -> Option:
        """What it will have read after so many seconds, pauses for evaluations left out."""
        phase = settled(self.settings, way.candidate, way.engine, 1).training.pretrain
        left = seconds - START_S - 2 * pause_s - way.row["prepare_s"]
        steps = max(1, int(left / (way.step_s + pause_s / phase.eval_every)))
        context = way.candidate.shape.context_length
        tokens = steps * way.candidate.batch_size * context
        return Option(way.candidate, way.engine, way.row, steps, tokens)

    def _pilots(self, ways: Sequence[Option], budget: Budget) -> list[tuple[Option, Row]]:
        """Train some of the candidates for a few seconds each, to the end of the schedule."""
        chosen = _spread(ways)
        times = [LONGER**n for n in range(3 if budget.pilot_s >= MANY_S else 2)]
        short = budget.pilot_s / (len(chosen) * sum(times))
        steps = {
            (way, _rounded(min(longer * _least(way, short), budget.run_s / way.step_s))): None
            for longer in times
            for way in chosen
        }
        asked, done = list(steps), []
        with Progress("pilots", len(asked)) as bar:
            for number, (way, count) in enumerate(asked):
                bar.show(number, str(way.candidate))
                row = self._pilot(way, count)
                if row["status"] == "ok" and math.isfinite(row["bits_per_byte"]):
                    done.append((way, row))
                    bits = f"{row['bits_per_byte']:.4f} bits per byte"
                    log.info("pilot %s: %s after %d steps", way.candidate, bits, count)
                else:
                    log.info("pilot %s: %s", way.candidate, row.get("reason", "not finite"))
        if len(done) < FEWEST_PILOTS:
            raise RunError(
                f"only {len(done)} of {len(asked)} pilots ended well, and a plan needs "
                f"{FEWEST_PILOTS}; raise --pilot-minutes"
            )
        return done

    def _pilot(self, way: Option, steps: int) -> Row:
        engine = replace(way.engine, compiled=False)
        settings = settled(self.settings, way.candidate, engine, steps)
        pilot = Pilot(root=self.root, settings=settings, engine=engine, data=self.data)
        return self.pilots.result(pilot, limits(120 + 10 * steps * way.step_s), self.asked)

    def _place(self, way: Option, params: float, tokens: float) -> Place:
        batch = way.candidate.batch_size * way.candidate.shape.context_length
        return Place(params, tokens, batch, self.worth(tokens))


def _spread(ways: Sequence[Option]) -> list[Option]:
    """A cross: each shape in the middle batch, and the middle shape in the outermost ones too."""
    shapes = sorted({way.candidate.shape for way in ways}, key=_size)
    middle_shape = shapes[len(shapes) // 2]
    own = sorted(w.candidate.batch_size for w in ways if w.candidate.shape == middle_shape)
    middle = own[len(own) // 2]
    return [
        way
        for way in ways
        if way.candidate.batch_size == middle
        or (way.candidate.shape == middle_shape and way.candidate.batch_size in (own[0], own[-1]))
    ]


def _least(way: Option, seconds: float) -> float:
    """The steps of an option's shortest pilot: of so many seconds, and enough to settle."""
    return max(FEWEST_STEPS, seconds / way.step_s)


def _size(shape: ModelSettings) -> tuple[int, int]:
    return shape.n_layer * shape.n_embd**2, shape.n_layer


def _rounded(steps: float) -> int:
    """Two digits are enough, and the same after a little noise in the speed."""
    whole = max(1, round(steps))
    unit = 10 ** max(0, len(str(whole)) - 2)
    return int(whole // unit * unit)
