"""How fast each candidate trains here: a trial each, and once a shape what compiling gains."""

import logging
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.errors import RunError
from nielsgpt.experiments.candidates import Candidate
from nielsgpt.experiments.job import Row, TrialJob
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.supervisor import SHARE, TrialLimits
from nielsgpt.progress import Progress
from nielsgpt.system import machine
from nielsgpt.system.device import ExecutionConfig

log = logging.getLogger("nielsgpt")
MEASURED_S, TRIAL_S = 3.0, 30.0  # of steps in a trial; until it is ended
WORTH_COMPILING_S = 1200.0  # of training: below it, measuring what compiling gains costs too much


@dataclass(frozen=True, eq=False)
class CandidateSpeed:
    """A candidate with its engine, its trial, and what it will have read at the end.

    `row` is the trial, not compiled; compiling takes `prepare_s` seconds and makes steps `gain`
    times as fast. In a run a step takes `pace` times as long as in a trial.
    """

    candidate: Candidate
    engine: ExecutionConfig
    row: Row
    gain: float = 1.0
    prepare_s: float = 0.0
    pace: float = 1.0
    steps: int = 0
    most: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def params(self) -> int:
        """The parameters of the model."""
        return int(self.row["params"])

    @property
    def trial_s(self) -> float:
        """Seconds a step in the trial."""
        return float(self.row["ms_per_step"]) / 1000

    @property
    def step_s(self) -> float:
        """Seconds a step."""
        return self.trial_s * self.pace / self.gain

    @property
    def tokens_per_second(self) -> float:
        """Tokens of a step over its seconds."""
        return self.candidate.batch_size * self.candidate.shape.context_length / self.step_s


class Throughput:
    """The trials of the candidates of these settings."""

    def __init__(
        self,
        settings: Settings,
        vocab_size: int,
        engine_of: Callable[[Candidate], ExecutionConfig],
        ledger: ResultsStore,
    ) -> None:
        self.settings, self.vocab_size = settings, vocab_size
        self.engine_of, self.ledger = engine_of, ledger
        self.asked: Sequence[int] = ()

    def ways(
        self, candidates: Sequence[Candidate], seconds: float, asked: Sequence[int]
    ) -> list[CandidateSpeed]:
        """The candidates that run here, for a run of so many seconds. RunError where none does."""
        self.asked, found = asked, list[CandidateSpeed]()
        with Progress("speed", len(candidates)) as bar:
            for number, candidate in enumerate(candidates):
                bar.show(number, str(candidate))
                engine = self.engine_of(candidate)
                row = self._row(candidate, replace(engine, compiled=False))
                if row["status"] == "ok":
                    found.append(CandidateSpeed(candidate, engine, row, prepare_s=row["prepare_s"]))
                else:
                    log.info("%s: %s, %s", candidate, row["status"], row["reason"])
        if not found:
            raise RunError("no candidate ran here; 'nielsgpt bench' says what does")
        tried = seconds >= WORTH_COMPILING_S and any(way.engine.compiled for way in found)
        gains = self._gains(found) if tried else {}
        return [_with_compile(way, gains.get(way.candidate.shape), seconds) for way in found]

    def _row(self, candidate: Candidate, execution: ExecutionConfig) -> Row:
        return self.ledger.result(self._job(candidate, execution), limits(TRIAL_S), self.asked)

    def _job(self, candidate: Candidate, execution: ExecutionConfig) -> TrialJob:
        phase = self.settings.training.pretrain
        return TrialJob(
            shape=candidate.shape,
            vocab_size=self.vocab_size,
            batch_size=candidate.batch_size,
            optimizer=phase.optimizer,
            activation_checkpointing=phase.activation_checkpointing,
            engine=execution,
            seconds=MEASURED_S,
        )

    def _gains(self, ways: Sequence[CandidateSpeed]) -> dict[ModelSettings, tuple[float, float]]:
        """Of each shape, how many times as fast it is compiled, and the seconds compiling takes."""
        found = {}
        for shape in dict.fromkeys(way.candidate.shape for way in ways):
            own = [way for way in ways if way.candidate.shape == shape]
            middle = statistics.median_low(way.candidate.batch_size for way in own)
            way = next(way for way in own if way.candidate.batch_size == middle)
            if self._job(way.candidate, way.engine).key not in self.ledger.rows:
                log.info("%s: compiling, up to some minutes", way.candidate)
            row = self._row(way.candidate, way.engine)
            if row["status"] == "ok":
                gain = row["tokens_per_second"] / way.row["tokens_per_second"]
                found[shape] = gain, float(row["prepare_s"])
        return found


def limits(seconds: float, start_s: float | None = None) -> TrialLimits:
    """So many seconds from `ready` on, and the usual share of the memory that is free now."""
    return TrialLimits(seconds, int(SHARE * machine.available_bytes()), start_s)


def _with_compile(
    way: CandidateSpeed, gain: tuple[float, float] | None, seconds: float
) -> CandidateSpeed:
    """The way compiled where that reads more tokens in so many seconds, else not compiled."""
    times, spent = gain or (1.0, 0.0)
    if gain is None or times * (seconds - spent) <= seconds:
        return replace(way, engine=replace(way.engine, compiled=False))
    return replace(way, gain=times, prepare_s=spent)
