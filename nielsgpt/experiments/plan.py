"""A plan: measure the speed of candidates, train pilots, fit a scaling law, rank the options."""

import logging
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nielsgpt.config.settings import Settings
from nielsgpt.data import availability
from nielsgpt.data.cache import shards
from nielsgpt.errors import RunError
from nielsgpt.experiments import worker
from nielsgpt.experiments.candidates import Candidate, resolve_settings
from nielsgpt.experiments.data_budget import DataBudget
from nielsgpt.experiments.execution import execution_of_shape
from nielsgpt.experiments.pilots import PilotBudget, PilotJob, PilotRace, PilotRun
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.scaling_law import LossForecast, ScalingLaw, TrainingPoint
from nielsgpt.experiments.throughput import PlanOption, Throughput
from nielsgpt.experiments.worker import JobLimits, ResultRow
from nielsgpt.progress import Progress
from nielsgpt.system.atomic_files import fingerprint
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training.assemble import split_identity

log = logging.getLogger("nielsgpt")
FinishedPilot = tuple[PlanOption, ResultRow]
PILOT_READY_S = 900.0  # until a pilot is ready: it verifies every checksum of the caches
RUN_START_S = 8.0  # until a run makes its first step
MIN_PILOTS = 3
INTERVAL = 0.9  # the probability of the intervals


@dataclass(frozen=True)
class Plan:
    """The options, the best first, and a joint forecast of their losses in the same order."""

    options: list[PlanOption]
    forecast: LossForecast
    pilots: int

    @property
    def chosen(self) -> PlanOption:
        """The option with the lowest expected loss."""
        return self.options[0]


class Planner:
    """Makes plans; every trial and pilot is stored and never measured twice."""

    def __init__(
        self,
        settings: Settings,
        root: str,
        data_budget: DataBudget,
        data: str,
        throughput: Throughput,
        pilots: ResultsStore,
    ) -> None:
        self.settings = settings
        self.root = root
        self.data_budget = data_budget
        self.data = data  # a fingerprint of the caches
        self.throughput = throughput
        self.pilots = pilots
        self.stop_signals: Sequence[int] = ()

    def plan(self, candidates: Sequence[Candidate], budget: PilotBudget) -> Plan:
        """The candidates that run here, ranked by the bits per byte they should end with."""
        options = self.throughput.measure(candidates, budget.run_s, self.stop_signals)
        options = [self._schedule(option, budget.run_s) for option in options]
        finished = self._run_pilots(options, budget)
        options = self._apply_pilot_speeds(options, finished, budget.run_s)
        forecast = self._forecast(finished, options)
        order = np.argsort(forecast.median, kind="stable")
        ranked = LossForecast(forecast.draws[:, order])
        return Plan([options[n] for n in order], ranked, len(finished))

    def settings_for(self, option: PlanOption, steps: int) -> Settings:
        """The settings that train an option for this many steps."""
        unique_tokens = self.data_budget.total
        return resolve_settings(
            self.settings, option.candidate, option.execution, steps, unique_tokens
        )

    def _apply_pilot_speeds(
        self, options: Sequence[PlanOption], finished: Sequence[FinishedPilot], run_s: float
    ) -> list[PlanOption]:
        """The options at the speed of their pilots, or without one, of the median pilot."""
        evaluation = statistics.median(row["evaluating"] for _, row in finished)
        slowdowns = {
            option.candidate: row["step_s"] / option.trial_step_s for option, row in finished
        }
        median = statistics.median(slowdowns.values())
        options = [replace(o, slowdown=slowdowns.get(o.candidate, median)) for o in options]
        return [self._schedule(option, run_s, evaluation) for option in options]

    def _schedule(self, option: PlanOption, run_s: float, evaluation: float = 0.0) -> PlanOption:
        """The option with the steps of a run of `run_s` seconds, or fewer if it would overfit.

        Evaluating rows takes `evaluation` times as long as training on them.
        """
        phase = self.settings_for(option, 1).training.pretrain
        pause_s = evaluation * phase.eval_batches * option.step_s
        overhead_s = RUN_START_S + 2 * pause_s + option.compile_s
        step_s = option.step_s + pause_s / phase.eval_every
        max_steps = max(1, int((run_s - overhead_s) / step_s))
        batch_tokens = option.candidate.batch_tokens
        tokens = self.data_budget.limit_tokens(max_steps * batch_tokens, option.params)
        steps = max(1, tokens // batch_tokens)
        return replace(
            option,
            steps=steps,
            max_steps=max_steps,
            tokens=steps * batch_tokens,
            seconds=run_s if steps == max_steps else overhead_s + steps * step_s,
        )

    def _run_pilots(
        self, options: Sequence[PlanOption], budget: PilotBudget
    ) -> list[FinishedPilot]:
        """Train the pilots of a race between the options. Raises RunError if too few finish."""
        finished: list[FinishedPilot] = []
        advice = "give it more --pilot-minutes, a longer run or smaller models"
        race = PilotRace(
            options,
            budget,
            has_enough=lambda: len(finished) >= MIN_PILOTS,
            forecast=lambda: self._forecast(finished, options),
        )
        with Progress("pilots", round(budget.pilots_s)) as bar:
            for pilot in race.run():
                candidate = pilot.option.candidate
                bar.show(round(race.spent_s - pilot.seconds), str(candidate))
                row = self._run_pilot(pilot)
                if row["status"] == "ok" and math.isfinite(row["bits_per_byte"]):
                    finished.append((pilot.option, row))
                    bits = f"{row['bits_per_byte']:.4f} bits per byte"
                    log.info("pilot %s: %s after %d steps", candidate, bits, pilot.steps)
                else:
                    reason = str(row.get("reason", "not finite"))
                    log.info("pilot %s: %s", candidate, reason)
                    advice = reason if row["status"] == "error" else advice
        if len(finished) < MIN_PILOTS:
            raise RunError(
                f"only {len(finished)} of {len(race.started)} pilots finished, and a plan needs "
                f"{MIN_PILOTS}; {advice}"
            )
        return finished

    def _run_pilot(self, pilot: PilotRun) -> ResultRow:
        execution = replace(pilot.option.execution, compiled=False)
        settings = self.settings_for(replace(pilot.option, execution=execution), pilot.steps)
        job = PilotJob(root=self.root, settings=settings, execution=execution, data=self.data)
        limits = JobLimits.from_free_memory(120 + 10 * pilot.seconds, PILOT_READY_S)
        return self.pilots.measure(job, limits, self.stop_signals)

    def _forecast(
        self, finished: Sequence[FinishedPilot], options: Sequence[PlanOption]
    ) -> LossForecast:
        """The final losses of the options, by the scaling laws that agree with the pilots."""
        runs = [self._point(option, row["params"], row["tokens"]) for option, row in finished]
        law = ScalingLaw(runs, [row["bits_per_byte"] for _, row in finished])
        return law.forecast([self._point(o, o.params, o.tokens) for o in options])

    def _point(self, option: PlanOption, params: float, tokens: float) -> TrainingPoint:
        return TrainingPoint(
            self.data_budget.discount_params(params),
            tokens,
            option.candidate.batch_tokens,
            self.data_budget.discount_repeats(tokens),
        )


def open_planner(workspace: Workspace, tokenizer: Tokenizer) -> Planner:
    """The planner of a workspace and its tokenizer; results are kept in bench/."""
    workspace = availability.drop_uncached(workspace, "pretrain")
    folder, mix = workspace.splits("pretrain"), workspace.settings.data.mix_pretrain
    metas = {name: shards.read_meta(folder, f"{name}_train") or {} for name in mix}
    splits = [f"{name}_{split}" for name in sorted(mix) for split in shards.SPLITS]
    data = fingerprint(tokenizer.fingerprint, [split_identity(folder, split) for split in splits])
    results, size = workspace.root / "bench", tokenizer.vocab_size
    return Planner(
        workspace.settings,
        str(workspace.root.resolve()),
        DataBudget({name: int(meta["tokens"]) for name, meta in metas.items()}, mix),
        data,
        Throughput(
            workspace.settings,
            size,
            lambda candidate: execution_of_shape(
                workspace, candidate.shape, candidate.batch_size, size
            ),
            ResultsStore(results / "speeds.jsonl", worker.run_job),
        ),
        ResultsStore(results / "pilots.jsonl", worker.run_job),
    )
