"""Trials: the measured speed and dtypes, and failures as a status."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from nielsgpt.experiments import trial
from nielsgpt.experiments.trial import TrialJob
from nielsgpt.experiments.worker import JobLimits, run_job
from nielsgpt.model.gpt import GPT, parameter_count
from tests.experiments.conftest import EXECUTION, SHAPE

Make = Callable[..., TrialJob]
ENOUGH = JobLimits(60.0, 2**34)


def test_a_trial_measures_the_speed_and_the_dtypes_of_a_model(job: Make) -> None:
    row = run_job(job(), ENOUGH)
    assert row["status"] == "ok"
    assert row["params"] == parameter_count(GPT(SHAPE, 64))
    speed = 1000 * 4 * SHAPE.context_length / row["ms_per_step"]
    assert row["tokens_per_second"] == pytest.approx(speed)
    assert row["dtypes"] == dict.fromkeys(("attention", "logits", "mlp", "weights"), "float32")
    assert row["steps_timed"] >= 1
    assert 2**26 < row["resident_bytes"] < 2**33
    assert row["took_s"] > row["prepare_s"]


def test_a_failure_inside_is_a_status_and_no_exception(job: Make) -> None:
    impossible = job().model_copy(update={"shape": SHAPE.model_copy(update={"n_head": 3})})
    row = trial.measure_trial(impossible, lambda: None)
    assert row["status"] == "error"
    assert row["reason"]
    assert "\n" not in row["reason"]


def test_activations_are_bfloat16_and_weights_stay_float32(job: Make) -> None:
    row = trial.measure_trial(job(execution=replace(EXECUTION, precision="bf16")), lambda: None)
    assert row["dtypes"] == {
        "attention": "bfloat16",
        "logits": "bfloat16",
        "mlp": "bfloat16",
        "weights": "float32",
    }


def test_a_trial_is_ready_before_it_is_timed(job: Make) -> None:
    ready_at: list[float] = []
    row = trial.measure_trial(job(seconds=0.3), lambda: ready_at.append(time.perf_counter()))
    assert time.perf_counter() - ready_at[0] >= row["steps_timed"] * row["ms_per_step"] / 2000


def test_the_key_covers_what_decides_the_speed_and_not_the_time_to_measure(
    job: Make,
) -> None:
    same = [job(), job(seconds=9.0)]
    other = [
        job(vocab_size=65),
        job(batch_size=8),
        job(optimizer="muon"),
        job(activation_checkpointing=True),
        job(execution=replace(EXECUTION, micro_batch_size=1)),
        job(execution=replace(EXECUTION, precision="bf16")),
        job(execution=replace(EXECUTION, torch_version="0")),
    ]
    assert len({one.key for one in same}) == 1
    assert len({one.key for one in same + other}) == 1 + len(other)
