"""Pilots: short runs on the real caches, and a race that decides which of them to train.

A pilot trains a candidate to the end of its schedule. All pilots take similar times, not similar
numbers of steps, so that each is as far from the end of its run as any other: an error of the
scaling law then affects all alike. Each shape has a short and a long pilot, which show how fast it
learns. Then, again and again, one law is drawn from those that agree with the pilots so far, and
the option that it ranks first gets its pilot (Thompson 1933): time goes to the contenders.

`python -m nielsgpt.experiments.pilots` is the worker; see `worker.serve_job`.
"""

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field

from nielsgpt import __version__
from nielsgpt.config.section import Section
from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.experiments import worker
from nielsgpt.experiments.scaling_law import LossForecast
from nielsgpt.experiments.throughput import PlanOption
from nielsgpt.experiments.worker import ResultRow
from nielsgpt.model.gpt import parameter_count
from nielsgpt.system import device
from nielsgpt.system.atomic_files import fingerprint
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers import registry
from nielsgpt.training import assemble

IRRELEVANT = {"checkpoint_every", "keep_checkpoints", "log_every", "minutes"}  # to the loss
SHORT, LONG, LONGEST = 1 / 24, 1 / 8, 1 / 4  # shares of the time for pilots
MANY_SHAPES = 3  # with more shapes all pilots are shorter, so that there is time for the race
MAX_RUN_SHARE = 0.5  # of the run's time, for a pilot
MIN_STEPS = 30  # the loss after fewer steps says little about the law
# The default time for pilots: at least this, up to this much half of the run, at most this.
MIN_PILOTS_S, HALF_RUN_S, MAX_PILOTS_S = 180.0, 600.0, 2400.0
LAWS = 64  # drawn before the race ends because no winner has a pilot left


class PilotJob(Section):
    """The settings of a pilot, the root of its workspace, and a fingerprint of its caches.

    In JSON the execution config is called `engine`.
    """

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    root: str
    settings: Settings
    execution: ExecutionConfig = Field(alias="engine")
    data: str

    @property
    def module(self) -> str:
        """The worker's module."""
        return "nielsgpt.experiments.pilots"

    @property
    def key(self) -> str:
        """A fingerprint of what decides the loss; of the machine, only precision and device."""
        settings = self.settings
        phase = settings.training.pretrain.model_dump(mode="json", exclude=IRRELEVANT)
        shape = settings.model.model_dump(mode="json")
        mix = settings.data.mix_pretrain
        execution = self.execution.precision, self.execution.device.partition(":")[0]
        return fingerprint(__version__, shape, phase, mix, settings.seed, self.data, execution)

    def to_dict(self) -> dict[str, Any]:
        """The job as JSON values."""
        return self.model_dump(mode="json")


def train_pilot(job: PilotJob, ready: Callable[[], None]) -> ResultRow:
    """Train to the end of the schedule; returns the bits per byte of the best evaluation, because
    that is the state a run keeps, with the pilot's tokens, the seconds of a step, and the time of
    an evaluation relative to training on as many rows."""
    workspace, execution = Workspace(Path(job.root), job.settings), job.execution
    device.apply_execution(execution.device, execution.threads)
    tokenizer = registry.load(workspace.tokenizer)
    model = assemble.model_at_start(workspace, "pretrain", tokenizer, {})
    trainer = assemble.assemble_trainer(workspace, "pretrain", tokenizer, model, execution)
    ready()
    steps, eval_every = trainer.phase.max_steps, trainer.phase.eval_every
    best, training_s, evaluation_s = math.inf, 0.0, 0.0
    for first in range(0, steps, eval_every):
        started = time.perf_counter()
        for _ in range(first, min(first + eval_every, steps)):
            trainer.train_step()
        device.synchronize(execution.device)
        trained = time.perf_counter()
        trainer.evaluate()
        training_s += trained - started
        evaluation_s = time.perf_counter() - trained
        best = min(best, trainer.metric("bits_per_byte"))
    step_s = training_s / steps
    return {
        "bits_per_byte": best,
        "params": parameter_count(trainer.model),
        "tokens": steps * trainer.phase.batch_size * model.context_length,
        "step_s": step_s,
        "evaluating": evaluation_s / trainer.phase.eval_batches / step_s,
    }


@dataclass(frozen=True)
class PilotBudget:
    """Seconds of pretraining, and of the pilots before it."""

    run_s: float
    pilots_s: float

    @classmethod
    def for_run(cls, run_s: float, pilots_s: float | None = None) -> "PilotBudget":
        """By default, pilots take half the time of a short run and a tenth of a long one's."""
        default = max(MIN_PILOTS_S, min(run_s / 2, HALF_RUN_S), min(run_s / 10, MAX_PILOTS_S))
        return cls(run_s, pilots_s or default)


@dataclass(frozen=True)
class PilotRun:
    """An option and the steps of its pilot."""

    option: PlanOption
    steps: int

    @property
    def seconds(self) -> float:
        """The time its steps should take; a pilot is never compiled."""
        return self.steps * self.option.trial_step_s


@dataclass
class PilotRace:
    """The choice of pilots among options.

    `forecast` draws joint losses of all options, in their order, from the pilots that have ended;
    it is called only once `has_enough` is true.
    """

    options: Sequence[PlanOption]
    budget: PilotBudget
    has_enough: Callable[[], bool]
    forecast: Callable[[], LossForecast]
    spent_s: float = 0.0
    started: list[PilotRun] = field(default_factory=list)

    def run(self) -> Iterator[PilotRun]:
        """The pilots in order, until no contender's pilot fits into the time left."""
        first = pick_per_shape([option for option in self.options if self._size(option, LONG)])
        for share in (SHORT, LONG):
            yield from self._start(self._size(option, share) for option in first)
        while (pilot := self._choose_next()) is not None:
            yield from self._start([pilot])

    def _choose_next(self) -> PilotRun | None:
        """The next pilot of the first winner, among several drawn laws, that has one left; of any
        option while there are too few pilots for a law."""
        if not self.has_enough():
            pairs = itertools.product((SHORT, LONG, LONGEST), range(len(self.options)))
            return next(filter(None, (self._find_left(n, share) for share, n in pairs)), None)
        draws = self.forecast().draws
        winners = draws[len(self.started) :: len(draws) // LAWS].argmin(axis=1)
        turns = ((int(n), share) for share in (LONG, LONGEST, SHORT) for n in winners)
        return next(filter(None, itertools.starmap(self._find_left, turns)), None)

    def _find_left(self, index: int, share: float) -> PilotRun | None:
        """An option's pilot of this share, if it has not started and fits into the time left."""
        pilot = self._size(self.options[index], share)
        if pilot is None or pilot in self.started:
            return None
        return pilot if self.spent_s + pilot.seconds <= self.budget.pilots_s else None

    def _start(self, pilots: Iterable[PilotRun | None]) -> Iterator[PilotRun]:
        for pilot in pilots:
            if pilot is not None and pilot not in self.started:
                self.started.append(pilot)
                self.spent_s += pilot.seconds
                yield pilot

    def _size(self, option: PlanOption, share: float) -> PilotRun | None:
        """A pilot of this share of the time, no longer than the run itself; None if it has too few
        steps to be informative and is not the whole run."""
        shapes = len({option.candidate.shape for option in self.options})
        longest_s = LONGEST * self.budget.pilots_s * min(1.0, MANY_SHAPES / shapes)
        longest_s = min(longest_s, MAX_RUN_SHARE * self.budget.run_s)
        steps = min(longest_s * share / LONGEST / option.trial_step_s, option.steps)
        if steps < min(MIN_STEPS, option.steps):
            return None
        return PilotRun(option, round_steps(steps))


def pick_per_shape(options: Sequence[PlanOption]) -> list[PlanOption]:
    """For each shape, the option whose batch size is nearest to the median of all."""
    by_shape: dict[ModelSettings, list[PlanOption]] = {}
    for option in options:
        by_shape.setdefault(option.candidate.shape, []).append(option)
    batch_sizes = sorted({option.candidate.batch_size for option in options})
    middle = statistics.median_low(batch_sizes or [1])

    def distance(option: PlanOption) -> float:
        return abs(math.log(option.candidate.batch_size / middle))

    return [min(same_shape, key=distance) for same_shape in by_shape.values()]


def round_steps(steps: float) -> int:
    """Round down to two digits, so that noise in the measured speed does not change the pilot."""
    whole = max(1, round(steps))
    unit = 10 ** max(0, len(str(whole)) - 2)
    return int(whole // unit * unit)


if __name__ == "__main__":
    worker.serve_job(PilotJob.model_validate_json, train_pilot)
