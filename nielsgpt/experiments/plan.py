"""A plan: the speed of each candidate, a race of pilots, the law they leave open, a ranking."""

import logging
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nielsgpt.config.settings import Settings
from nielsgpt.errors import RunError
from nielsgpt.experiments.candidates import Candidate, resolve_settings
from nielsgpt.experiments.data_budget import DataBudget
from nielsgpt.experiments.job import Row
from nielsgpt.experiments.pilot import Pilot
from nielsgpt.experiments.pilot_race import PilotBudget, PilotRace
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.scaling_law import LossForecast, ScalingLaw, TrainingPoint
from nielsgpt.experiments.throughput import CandidateSpeed, Throughput, limits
from nielsgpt.progress import Progress

log = logging.getLogger("nielsgpt")
Done = tuple[CandidateSpeed, Row]  # a pilot that ended well
READING_S = 900.0  # until a pilot is ready: it reads every checksum of the caches
START_S = 8.0  # until a run makes its first step
FEWEST_PILOTS = 3
MASS = 0.9  # of the probability that an interval holds


@dataclass(frozen=True)
class Plan:
    """The options, the best first; their losses drawn together, in the same order."""

    options: list[CandidateSpeed]
    forecast: LossForecast
    pilots: int

    @property
    def chosen(self) -> CandidateSpeed:
        """The option that is expected to end best."""
        return self.options[0]


class Planner:
    """Measures what a plan needs, and keeps it: nothing is measured twice."""

    def __init__(
        self,
        settings: Settings,
        root: str,
        corpus: DataBudget,
        data: str,
        speeds: Throughput,
        pilots: ResultsStore,
    ) -> None:
        self.settings, self.root, self.data = settings, root, data
        self.corpus, self.speeds, self.pilots = corpus, speeds, pilots
        self.asked: Sequence[int] = ()

    def plan(self, candidates: Sequence[Candidate], budget: PilotBudget) -> Plan:
        """The candidates that run here, ranked by the bits per byte that they should end with."""
        ways = self.speeds.ways(candidates, budget.run_s, self.asked)
        done = self._pilots([self._option(way, budget.run_s) for way in ways], budget)
        forecast = self._forecast(done, options := self._paced(ways, done, budget.run_s))
        order = np.argsort(forecast.middle, kind="stable")
        return Plan([options[n] for n in order], LossForecast(forecast.draws[:, order]), len(done))

    def settings_for(self, option: CandidateSpeed, steps: int) -> Settings:
        """The settings that train an option in so many steps."""
        text = self.corpus.total
        return resolve_settings(self.settings, option.candidate, option.engine, steps, text)

    def _paced(
        self, ways: Sequence[CandidateSpeed], done: Sequence[Done], seconds: float
    ) -> list[CandidateSpeed]:
        """The options at the speed of their pilots; where there was none, of the others'."""
        evaluating = statistics.median(row["evaluating"] for _, row in done)
        paces = {way.candidate: row["step_s"] / way.trial_s for way, row in done}
        usual = statistics.median(paces.values())
        found = [replace(way, pace=paces.get(way.candidate, usual)) for way in ways]
        return [self._option(way, seconds, evaluating) for way in found]

    def _option(
        self, way: CandidateSpeed, seconds: float, evaluating: float = 0.0
    ) -> CandidateSpeed:
        """What it will have read after so many seconds, pauses for evaluations left out, or earlier
        where it would learn by heart; each takes `evaluating` times as long as training on its
        rows."""
        phase = self.settings_for(way, 1).training.pretrain
        pause = evaluating * phase.eval_batches * way.step_s
        around, each = START_S + 2 * pause + way.prepare_s, way.step_s + pause / phase.eval_every
        most = max(1, int((seconds - around) / each))
        at_once = way.candidate.batch_size * way.candidate.shape.context_length
        steps = max(1, self.corpus.enough(most * at_once, way.params) // at_once)
        taken = seconds if steps == most else around + steps * each
        return replace(way, steps=steps, most=most, tokens=steps * at_once, seconds=taken)

    def _pilots(self, options: Sequence[CandidateSpeed], budget: PilotBudget) -> list[Done]:
        """Train the pilots of a race between the options, as they are asked for."""
        done: list[Done] = []
        advice = "give it more --pilot-minutes, a longer run or smaller models"
        race = PilotRace(
            options,
            budget,
            enough=lambda: len(done) >= FEWEST_PILOTS,
            forecast=lambda: self._forecast(done, options),
        )
        with Progress("pilots", round(budget.pilot_s)) as bar:
            for leg in race.legs():
                bar.show(round(race.spent_s - leg.seconds), str(leg.way.candidate))
                row = self._pilot(leg.way, leg.steps)
                if row["status"] == "ok" and math.isfinite(row["bits_per_byte"]):
                    done.append((leg.way, row))
                    bits = f"{row['bits_per_byte']:.4f} bits per byte"
                    log.info("pilot %s: %s after %d steps", leg.way.candidate, bits, leg.steps)
                else:
                    why = str(row.get("reason", "not finite"))
                    log.info("pilot %s: %s", leg.way.candidate, why)
                    advice = why if row["status"] == "error" else advice
        if len(done) < FEWEST_PILOTS:
            raise RunError(
                f"only {len(done)} of {len(race.run)} pilots ended well, and a plan needs "
                f"{FEWEST_PILOTS}; {advice}"
            )
        return done

    def _forecast(self, done: Sequence[Done], options: Sequence[CandidateSpeed]) -> LossForecast:
        """What the options end with, by the law that the pilots leave open."""
        places = [self._place(way, row["params"], row["tokens"]) for way, row in done]
        fit = ScalingLaw(places, [row["bits_per_byte"] for _, row in done])
        return fit.forecast([self._place(o, o.params, o.tokens) for o in options])

    def _pilot(self, way: CandidateSpeed, steps: int) -> Row:
        way = replace(way, engine=replace(way.engine, compiled=False))
        settings = self.settings_for(way, steps)
        pilot = Pilot(root=self.root, settings=settings, engine=way.engine, data=self.data)
        return self.pilots.result(
            pilot, limits(120 + 10 * steps * way.trial_s, READING_S), self.asked
        )

    def _place(self, way: CandidateSpeed, params: float, tokens: float) -> TrainingPoint:
        batch = way.candidate.batch_size * way.candidate.shape.context_length
        return TrainingPoint(self.corpus.useful(params), tokens, batch, self.corpus.worth(tokens))
