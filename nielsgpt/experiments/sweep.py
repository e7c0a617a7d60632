"""A sweep: search the micro-batch of every configuration in a grid, within a time, and rank."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nielsgpt.experiments import sweep_summary, worker
from nielsgpt.experiments.grid import Configuration
from nielsgpt.experiments.micro_batch_search import MicroBatchSearch
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.sweep_summary import RankedResult
from nielsgpt.experiments.throughput import MEASURE_S
from nielsgpt.experiments.trial import TrialJob
from nielsgpt.experiments.worker import JobLimits, ResultRow
from nielsgpt.progress import Progress
from nielsgpt.system.atomic_files import write_text
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.system.folder_lock import lock
from nielsgpt.system.signals import watch_stop_signals

log = logging.getLogger("nielsgpt")
RESULTS, SUMMARY = "results.jsonl", "summary.md"
SEARCH_SHARE = 0.75  # of a configuration's time; the rest is for compiling the best ones


@dataclass(frozen=True)
class SweepOptions:
    """The folder of the results, the model's vocabulary and training, and the limits of a sweep.

    `hours` is the training time that the ranking is for; `seconds_each` a configuration's time.
    """

    folder: Path
    vocab_size: int
    optimizer: str
    batch_size: int
    timeout_s: float
    max_micro_batch: int
    hours: float
    seconds_each: float


class Sweep:
    """The trials of a grid, one configuration after the other."""

    def __init__(
        self,
        options: SweepOptions,
        choose_execution: Callable[[Configuration], ExecutionConfig],
        results: ResultsStore | None = None,
    ) -> None:
        self.options = options
        self.choose_execution = choose_execution
        self.results = results or ResultsStore(options.folder / RESULTS, worker.run_job)
        self.entries: list[RankedResult] = []
        self.stop_signals: Sequence[int] = ()

    def run(self, grid: Sequence[Configuration]) -> list[RankedResult]:
        """Search every configuration, compile the fastest ones, and keep summary.md up to date.

        Raises Stopped on a stop signal; what was measured is stored.
        """
        self.entries = []
        deadline = time.monotonic() + self.options.seconds_each * len(grid)
        with (
            lock(self.options.folder),
            watch_stop_signals() as self.stop_signals,
            Progress("bench", len(grid)) as bar,
        ):
            for number, configuration in enumerate(grid, 1):
                bar.show(number - 1, str(configuration))
                self.entries.append(self._search(configuration))
                log.info("bench %d/%d %s", number, len(grid), self.entries[-1])
                self._write_summary()
            self._compile_fastest(deadline)
            self._write_summary()
        return self.entries

    def _write_summary(self) -> None:
        options = self.options
        text = sweep_summary.format_summary(self.entries, options.hours, options.batch_size)
        write_text(options.folder / SUMMARY, text)

    def _search(self, configuration: Configuration) -> RankedResult:
        """The fastest micro-batch of a configuration."""
        execution = self.choose_execution(configuration)
        if configuration.compile != "on":
            execution = replace(execution, compiled=False)
        deadline = time.monotonic() + SEARCH_SHARE * self.options.seconds_each
        last_s = 0.0

        def measure(size: int) -> ResultRow:
            nonlocal last_s
            started = time.monotonic()
            row = self._measure(configuration, replace(execution, micro_batch_size=size))
            last_s = time.monotonic() - started
            return row

        def has_time() -> bool:
            return time.monotonic() + last_s < deadline

        search = MicroBatchSearch(measure, self.options.max_micro_batch, has_time).run()
        return RankedResult(
            configuration, search.best, search.largest, search.failure, search.skipped
        )

    def _compile_fastest(self, deadline: float) -> None:
        """Compile configurations at their fastest micro-batch, the best first, while there is
        time."""
        longest_s = 0.0
        for entry in sweep_summary.rank_results(self.entries):
            execution = self.choose_execution(entry.configuration)
            if entry.configuration.compile != "auto" or not execution.compiled:
                continue
            started = time.monotonic()
            if started + longest_s > deadline:
                log.info("bench: no time left to compile the others")
                return
            assert entry.best is not None
            size = entry.best["job"]["engine"]["micro_batch_size"]
            row = self._measure(entry.configuration, replace(execution, micro_batch_size=size))
            longest_s = max(longest_s, time.monotonic() - started)
            speed = row["tokens_per_second"] if row["status"] == "ok" else 0.0
            if speed > entry.best["tokens_per_second"]:
                self.entries[self.entries.index(entry)] = replace(entry, best=row)
            speed_text = sweep_summary.describe_speed(row)
            log.info("bench %s compiled: %s", entry.configuration, speed_text)

    def _measure(self, configuration: Configuration, execution: ExecutionConfig) -> ResultRow:
        options = self.options
        job = TrialJob(
            shape=configuration.shape,
            vocab_size=options.vocab_size,
            batch_size=execution.micro_batch_size,
            optimizer=options.optimizer,
            activation_checkpointing=configuration.activation_checkpointing,
            execution=execution,
            seconds=min(MEASURE_S, options.timeout_s / 2),
        )
        limits = JobLimits.from_free_memory(options.timeout_s)
        return self.results.measure(job, limits, self.stop_signals)
