"""Stored results: no line is lost, nothing is measured twice, and failures are retried."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.trial import TrialJob
from nielsgpt.experiments.worker import JobLimits, ResultRow
from tests.experiments.conftest import EXECUTION

LIMITS = JobLimits(20.0, 2**30)


class Machine:
    """Runs up to three rows; records its jobs."""

    def __init__(self) -> None:
        self.jobs = list[TrialJob]()

    def __call__(self, job: TrialJob, limits: JobLimits, stop_signals: Any = ()) -> ResultRow:
        self.jobs.append(job)
        if job.execution.micro_batch_size > 3:
            return {"status": "oom", "reason": "too large"}
        return {"status": "ok", "tokens_per_second": 100.0}


def test_a_torn_last_line_is_ignored_and_swallows_nothing(
    tmp_path: Path, job: Callable[..., TrialJob]
) -> None:
    path, machine = tmp_path / "results.jsonl", Machine()
    jobs = [job(vocab_size=size) for size in (64, 65, 66)]
    results = ResultsStore(path, machine)
    for one in jobs[:2]:
        results.measure(one, LIMITS)
    path.write_bytes(path.read_bytes()[:-30])
    again = ResultsStore(path, machine)
    for one in jobs:
        again.measure(one, LIMITS)
    assert [one.vocab_size for one in machine.jobs] == [64, 65, 65, 66]
    assert set(ResultsStore(path, machine).rows) == {one.key for one in jobs}


@pytest.mark.parametrize(
    ("limits", "trials"),
    [
        (LIMITS, 1),
        (JobLimits(24.0, 2**30), 1),
        (JobLimits(20.0, 2**31), 2),
        (JobLimits(99.0, 2**30), 1),
    ],
)
def test_a_job_out_of_memory_is_retried_only_with_more_memory(
    tmp_path: Path, job: Callable[..., TrialJob], limits: JobLimits, trials: int
) -> None:
    machine = Machine()
    results = ResultsStore(tmp_path / "results.jsonl", machine)
    too_large = job(execution=replace(EXECUTION, micro_batch_size=4))
    results.measure(too_large, LIMITS)
    results.measure(too_large, limits)
    assert len(machine.jobs) == trials


def test_an_error_is_retried_because_its_cause_may_be_fixed(
    tmp_path: Path, job: Callable[..., TrialJob]
) -> None:
    answers = [{"status": "error", "reason": "no compiler \u2028 here"}, {"status": "ok"}]
    results = ResultsStore(tmp_path / "results.jsonl", lambda *given: answers.pop(0))
    assert results.measure(job(), LIMITS)["status"] == "error"
    again = ResultsStore(tmp_path / "results.jsonl", lambda *given: answers.pop(0))
    assert again.rows[job().key]["reason"] == "no compiler \u2028 here"
    assert [again.measure(job(), LIMITS)["status"] for _ in range(2)] == ["ok", "ok"]
