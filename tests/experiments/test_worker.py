"""Jobs in worker processes: every status, and none is left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nielsgpt.errors import Stopped
from nielsgpt.experiments import worker
from nielsgpt.experiments.trial import TrialJob
from nielsgpt.experiments.worker import JobLimits, JobProcess, run_job

Make = Callable[..., TrialJob]
ENOUGH = JobLimits(60.0, 2**34)


def test_a_job_may_take_less_than_the_free_memory() -> None:
    assert 0 < worker.MEMORY_SHARE < 1


def test_more_memory_than_allowed_is_oom_and_a_timeout_counts_from_ready(job: Make) -> None:
    assert run_job(job(), JobLimits(60.0, 2**20))["status"] == "oom"
    slow = run_job(job(seconds=600.0), JobLimits(0.2, 2**34))
    assert (slow["status"], slow["reason"]) == ("timeout", "more than 0.2 s for its steps")
    assert slow["took_s"] > 0.2


def test_a_signal_kills_the_worker_and_what_it_started(job: Make, tmp_path: Path) -> None:
    with (tmp_path / "errors").open("w+b") as errors:
        running = JobProcess(job(seconds=600.0), errors)
        with pytest.raises(Stopped) as caught:
            running.watch(ENOUGH, [signal.SIGTERM])
        running.kill()
    assert caught.value.exit_code == 143
    assert running.process.returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.killpg(running.process.pid, 0)


@pytest.mark.slow
def test_a_worker_ends_when_its_parent_is_killed(job: Make) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "nielsgpt.experiments.trial", "supervised"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(job(seconds=600.0).model_dump_json().encode() + b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ready\n"
    process.stdin.close()  # as the system does for a killed parent
    assert process.wait(30) == -signal.SIGKILL
    process.stdout.close()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.slow
def test_an_invalid_job_is_an_error_with_its_first_line() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "nielsgpt.experiments.trial"],
        input='{"shape": {"n_embd": 10, "n_head": 3}}\n',
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = ran.stdout.splitlines()
    assert json.loads(line)["status"] == "error"
    assert "validation error" in json.loads(line)["reason"]
