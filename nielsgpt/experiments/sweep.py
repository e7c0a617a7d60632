"""A sweep: the search for every configuration of a grid, within a time, and its ranking."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nielsgpt.experiments import supervisor, sweep_summary
from nielsgpt.experiments.grid import Configuration
from nielsgpt.experiments.job import Row, TrialJob
from nielsgpt.experiments.micro_batch_search import MicroBatchSearch
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.supervisor import SHARE, TrialLimits
from nielsgpt.experiments.sweep_summary import RankedResult
from nielsgpt.progress import Progress
from nielsgpt.system import machine
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.system.signals import watch_stop_signals
from nielsgpt.system.workspace import lock, write_text

log = logging.getLogger("nielsgpt")
RESULTS, SUMMARY = "results.jsonl", "summary.md"
MEASURED_S = 3.0  # of steps in a trial
SEARCHING = 0.75  # of a configuration's time; the rest is for compiling the best ones


@dataclass(frozen=True)
class SweepTarget:
    """What a person asks of a sweep."""

    folder: Path
    vocab_size: int
    optimizer: str
    batch_size: int
    timeout_s: float
    most: int
    hours: float
    seconds_each: float


class Sweep:
    """The trials of a grid, one configuration after the other."""

    def __init__(
        self,
        wish: SweepTarget,
        engine_of: Callable[[Configuration], ExecutionConfig],
        ledger: ResultsStore | None = None,
    ) -> None:
        self.wish, self.engine_of = wish, engine_of
        self.ledger = ledger or ResultsStore(wish.folder / RESULTS, supervisor.run)
        self.entries: list[RankedResult] = []
        self.asked: Sequence[int] = ()

    def run(self, grid: Sequence[Configuration]) -> list[RankedResult]:
        """Search every configuration, compile the fastest, rank; summary.md is kept up to date.

        Raises Stopped when the process is asked to end; what was measured is kept.
        """
        self.entries, began = [], time.monotonic()
        ends = began + self.wish.seconds_each * len(grid)
        with (
            lock(self.wish.folder),
            watch_stop_signals() as self.asked,
            Progress("bench", len(grid)) as bar,
        ):
            for number, configuration in enumerate(grid, 1):
                bar.show(number - 1, str(configuration))
                self.entries.append(self._searched(configuration))
                log.info("bench %d/%d %s", number, len(grid), self.entries[-1])
                self._write()
            self._compile(ends)
            self._write()
        return self.entries

    def _write(self) -> None:
        text = sweep_summary.text(self.entries, self.wish.hours, self.wish.batch_size)
        write_text(self.wish.folder / SUMMARY, text)

    def _searched(self, configuration: Configuration) -> RankedResult:
        """The fastest micro-batch of a configuration."""
        execution, taken = self.engine_of(configuration), [0.0]
        if configuration.compile != "on":
            execution = replace(execution, compiled=False)
        ends = time.monotonic() + SEARCHING * self.wish.seconds_each

        def measure(size: int) -> Row:
            began = time.monotonic()
            row = self._result(configuration, replace(execution, micro_batch_size=size))
            taken.append(time.monotonic() - began)
            return row

        def in_time() -> bool:
            return time.monotonic() + taken[-1] < ends

        found = MicroBatchSearch(measure, self.wish.most, in_time).run()
        return RankedResult(configuration, found.best, found.largest, found.failure, found.cut)

    def _compile(self, ends: float) -> None:
        """The fastest micro-batch compiled, of the best configuration first, while time is left."""
        longest = 0.0
        for entry in sweep_summary.rank_results(self.entries):
            engine = self.engine_of(entry.configuration)
            if entry.configuration.compile != "auto" or not engine.compiled:
                continue
            began = time.monotonic()
            if began + longest > ends:
                log.info("bench: no time is left to compile the others")
                return
            assert entry.best is not None
            size = entry.best["job"]["engine"]["micro_batch_size"]
            row = self._result(entry.configuration, replace(engine, micro_batch_size=size))
            longest = max(longest, time.monotonic() - began)
            faster = row["status"] == "ok" and (
                row["tokens_per_second"] > entry.best["tokens_per_second"]
            )
            if faster:
                self.entries[self.entries.index(entry)] = replace(entry, best=row)
            log.info("bench %s", f"{entry.configuration} compiled: {sweep_summary.speed(row)}")

    def _result(self, configuration: Configuration, execution: ExecutionConfig) -> Row:
        job = TrialJob(
            shape=configuration.shape,
            vocab_size=self.wish.vocab_size,
            batch_size=execution.micro_batch_size,
            optimizer=self.wish.optimizer,
            activation_checkpointing=configuration.activation_checkpointing,
            engine=execution,
            seconds=min(MEASURED_S, self.wish.timeout_s / 2),
        )
        limits = TrialLimits(self.wish.timeout_s, int(SHARE * machine.available_bytes()))
        return self.ledger.result(job, limits, self.asked)
