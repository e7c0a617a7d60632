"""The speed of each candidate on this machine: a trial each, and one compiled trial per shape."""

import logging
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.errors import RunError
from nielsgpt.experiments.candidates import Candidate
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.trial import TrialJob
from nielsgpt.experiments.worker import JobLimits, ResultRow
from nielsgpt.progress import Progress
from nielsgpt.system.device import ExecutionConfig

log = logging.getLogger("nielsgpt")
MEASURE_S = 3.0  # of steps in a trial
TRIAL_S = 30.0  # until a trial is ended
MIN_COMPILED_RUN_S = 1200.0  # for a shorter run, measuring what compiling gains costs too much


@dataclass(frozen=True, eq=False)
class PlanOption:
    """A candidate with its execution config, its uncompiled trial, and its run.

    Compiling takes `compile_s` seconds and makes steps `speedup` times as fast. In a run, a step
    takes `slowdown` times as long as in the trial. The run makes `steps` steps on `tokens` tokens
    in `seconds`; there would be time for `max_steps`.
    """

    candidate: Candidate
    execution: ExecutionConfig
    trial: ResultRow
    speedup: float = 1.0
    compile_s: float = 0.0
    slowdown: float = 1.0
    steps: int = 0
    max_steps: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def params(self) -> int:
        """The parameters of the model."""
        return int(self.trial["params"])

    @property
    def trial_step_s(self) -> float:
        """Seconds of a step in the trial."""
        return float(self.trial["ms_per_step"]) / 1000

    @property
    def step_s(self) -> float:
        """Seconds of a step in a run."""
        return self.trial_step_s * self.slowdown / self.speedup

    @property
    def tokens_per_second(self) -> float:
        """The tokens of a step over its seconds."""
        return self.candidate.batch_tokens / self.step_s


class Throughput:
    """The trials of the candidates of these settings."""

    def __init__(
        self,
        settings: Settings,
        vocab_size: int,
        choose_execution: Callable[[Candidate], ExecutionConfig],
        results: ResultsStore,
    ) -> None:
        self.settings = settings
        self.vocab_size = vocab_size
        self.choose_execution = choose_execution
        self.results = results
        self.stop_signals: Sequence[int] = ()

    def measure(
        self, candidates: Sequence[Candidate], run_s: float, stop_signals: Sequence[int]
    ) -> list[PlanOption]:
        """The candidates that run here, compiled if that pays off in a run of `run_s` seconds.

        Raises RunError if no candidate runs.
        """
        self.stop_signals = stop_signals
        options: list[PlanOption] = []
        with Progress("speed", len(candidates)) as bar:
            for number, candidate in enumerate(candidates):
                bar.show(number, str(candidate))
                execution = self.choose_execution(candidate)
                row = self._run_trial(candidate, replace(execution, compiled=False))
                if row["status"] == "ok":
                    options.append(PlanOption(candidate, execution, row))
                else:
                    log.info("%s: %s, %s", candidate, row["status"], row["reason"])
        if not options:
            raise RunError(
                "no candidate can run on this machine; 'nielsgpt bench' finds models that can"
            )
        can_compile = any(option.execution.compiled for option in options)
        speedups: dict[ModelSettings, tuple[float, float]] = {}
        if can_compile and run_s >= MIN_COMPILED_RUN_S:
            speedups = self._measure_speedups(options)
        return [_choose_compile(o, speedups.get(o.candidate.shape), run_s) for o in options]

    def _run_trial(self, candidate: Candidate, execution: ExecutionConfig) -> ResultRow:
        limits = JobLimits.from_free_memory(TRIAL_S)
        return self.results.measure(self._job(candidate, execution), limits, self.stop_signals)

    def _job(self, candidate: Candidate, execution: ExecutionConfig) -> TrialJob:
        phase = self.settings.training.pretrain
        return TrialJob(
            shape=candidate.shape,
            vocab_size=self.vocab_size,
            batch_size=candidate.batch_size,
            optimizer=phase.optimizer,
            activation_checkpointing=phase.activation_checkpointing,
            execution=execution,
            seconds=MEASURE_S,
        )

    def _measure_speedups(
        self, options: Sequence[PlanOption]
    ) -> dict[ModelSettings, tuple[float, float]]:
        """For each shape, the speedup of compiling at its median batch size, and its seconds."""
        speedups = {}
        for shape in dict.fromkeys(option.candidate.shape for option in options):
            same_shape = [option for option in options if option.candidate.shape == shape]
            middle = statistics.median_low(o.candidate.batch_size for o in same_shape)
            option = next(o for o in same_shape if o.candidate.batch_size == middle)
            if self._job(option.candidate, option.execution).key not in self.results.rows:
                log.info("%s: compiling, up to some minutes", option.candidate)
            row = self._run_trial(option.candidate, option.execution)
            if row["status"] == "ok":
                speedup = row["tokens_per_second"] / option.trial["tokens_per_second"]
                speedups[shape] = speedup, float(row["prepare_s"])
        return speedups


def _choose_compile(
    option: PlanOption, measured: tuple[float, float] | None, run_s: float
) -> PlanOption:
    """The option compiled if that trains on more tokens in `run_s` seconds, else uncompiled."""
    speedup, compile_s = measured or (1.0, 0.0)
    if measured is None or speedup * (run_s - compile_s) <= run_s:
        return replace(option, execution=replace(option.execution, compiled=False))
    return replace(option, speedup=speedup, compile_s=compile_s)
