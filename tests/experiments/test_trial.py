"""Trials in real processes: every status, and that none is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nielsgpt.errors import Stopped
from nielsgpt.experiments import supervisor, trial
from nielsgpt.experiments.job import TrialJob
from nielsgpt.experiments.supervisor import TrialLimits
from nielsgpt.model.gpt import GPT, parameter_count
from tests.experiments.conftest import ENGINE, SHAPE

Make = Callable[..., TrialJob]
ENOUGH = TrialLimits(60.0, 2**34)


def test_a_trial_says_how_fast_the_model_runs_and_in_which_dtypes(job: Make) -> None:
    row = supervisor.run(job(), ENOUGH)
    assert row["status"] == "ok"
    assert row["params"] == parameter_count(GPT(SHAPE, 64))
    speed = 1000 * 4 * SHAPE.context_length / row["ms_per_step"]
    assert row["tokens_per_second"] == pytest.approx(speed)
    assert row["dtypes"] == dict.fromkeys(("attention", "logits", "mlp", "weights"), "float32")
    assert row["steps_timed"] >= 1
    assert 2**26 < row["resident_bytes"] < 2**33
    assert row["took_s"] > row["prepare_s"]


def test_more_memory_than_allowed_is_oom_and_a_timeout_counts_from_ready(job: Make) -> None:
    assert supervisor.run(job(), TrialLimits(60.0, 2**20))["status"] == "oom"
    slow = supervisor.run(job(seconds=600.0), TrialLimits(0.2, 2**34))
    assert (slow["status"], slow["reason"]) == ("timeout", "more than 0.2 s for its steps")
    assert slow["took_s"] > 0.2


@pytest.mark.slow
def test_a_job_that_is_no_job_is_an_error_with_its_first_line() -> None:
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


def test_what_fails_inside_is_a_status_and_no_exception(job: Make) -> None:
    impossible = job().model_copy(update={"shape": SHAPE.model_copy(update={"n_head": 3})})
    row = trial.measure_trial(impossible, lambda: None)
    assert row["status"] == "error"
    assert row["reason"]
    assert "\n" not in row["reason"]


def test_bfloat16_is_what_really_flows_and_weights_stay_float32(job: Make) -> None:
    row = trial.measure_trial(job(engine=replace(ENGINE, precision="bf16")), lambda: None)
    assert row["dtypes"] == {
        "attention": "bfloat16",
        "logits": "bfloat16",
        "mlp": "bfloat16",
        "weights": "float32",
    }


def test_a_trial_is_ready_before_it_is_timed(job: Make) -> None:
    said: list[float] = []
    row = trial.measure_trial(job(seconds=0.3), lambda: said.append(time.perf_counter()))
    assert time.perf_counter() - said[0] >= row["steps_timed"] * row["ms_per_step"] / 2000


def test_a_signal_kills_the_trial_and_what_it_started(job: Make, tmp_path: Path) -> None:
    with (tmp_path / "errors").open("w+b") as errors:
        running = supervisor.TrialProcess(job(seconds=600.0), errors)
        with pytest.raises(Stopped) as caught:
            running.watch(ENOUGH, [signal.SIGTERM])
        running.end()
    assert caught.value.exit_code == 143
    assert running.process.returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.killpg(running.process.pid, 0)


@pytest.mark.slow
def test_a_trial_whose_parent_is_killed_ends_too(job: Make) -> None:
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
    process.stdin.close()  # what the system does with the pipes of a killed parent
    assert process.wait(30) == -signal.SIGKILL
    process.stdout.close()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
