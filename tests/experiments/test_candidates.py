"""Candidates: which there are, and the settings that train one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.experiments import candidates
from nielsgpt.experiments.candidates import Candidate
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.training.lr_schedule import COOLED, LRSchedule, lr_at

ENGINE = ExecutionConfig("cpu", "fp32", "plain", False, 1, 2)


def phase(settings: Settings, batch: int, steps: int) -> Any:
    one = Candidate(settings.model, batch)
    engine = replace(ENGINE, micro_batch_size=1)
    return candidates.resolve_settings(settings, one, engine, steps).training.pretrain


def test_the_settings_own_shape_and_batch_are_among_the_candidates(
    tiny: Callable[..., Settings],
) -> None:
    settings = tiny()
    own = Candidate(settings.model, settings.training.pretrain.batch_size)
    found = candidates.candidates_around(settings)
    assert own in found
    assert len(found) == len(set(found)) == 12
    widths = {c.shape.n_embd // c.shape.n_head for c in found}
    assert widths == {settings.model.n_embd // settings.model.n_head}


def test_shapes_and_batches_that_are_given_are_the_only_ones(tiny: Callable[..., Settings]) -> None:
    shape = ModelSettings(n_layer=3, n_head=2, n_embd=48, context_length=128)
    found = candidates.candidates_around(tiny(), [shape, shape], [1, 7])
    assert found == [Candidate(shape, 1), Candidate(shape, 7)]


@pytest.mark.parametrize(("batch", "times"), [(4, 1.0), (16, 2.0), (1, 0.5), (64, 2.0), (9, 1.5)])
def test_the_rates_go_with_the_root_of_the_batch_within_bounds(
    tiny: Callable[..., Settings], batch: int, times: float
) -> None:
    settings = tiny()
    own, found = settings.training.pretrain, phase(tiny(), batch, 100)
    assert found.learning_rate == pytest.approx(times * own.learning_rate)
    assert found.muon_learning_rate == pytest.approx(times * own.muon_learning_rate)
    assert found.eval_batches * batch >= own.eval_batches * own.batch_size / 2


def test_a_candidate_ends_cooled_and_warms_up_in_a_twentieth_at_most(
    tiny: Callable[..., Settings],
) -> None:
    found = phase(tiny(training={"pretrain": {"warmup_steps": 300}}), 4, 200)
    assert found.warmup_steps == 10
    assert lr_at(199, found) <= COOLED * found.learning_rate + 1e-12
    assert lr_at(10, found) == pytest.approx(found.learning_rate)


def test_a_candidate_is_cooled_by_its_steps_where_the_config_has_a_time(
    tiny: Callable[..., Settings],
) -> None:
    found = phase(tiny(training={"pretrain": {"minutes": 30.0}}), 4, 100)
    assert found.minutes is None
    assert lr_at(99, found, LRSchedule.for_phase(found)) <= COOLED * found.learning_rate + 1e-12


@pytest.mark.parametrize(("corpus", "every"), [(5_000, 60), (100_352, 196), (10_000_000, 200)])
def test_text_is_evaluated_once_a_reading_unless_that_is_dear_or_asked_for_oftener(
    tiny: Callable[..., Settings], corpus: int, every: int
) -> None:
    settings = tiny(training={"pretrain": {"eval_every": 200, "eval_batches": 60}})
    one = Candidate(settings.model, 4)
    assert settings.training.pretrain.batch_size == 4
    found = candidates.resolve_settings(settings, one, ENGINE, 100, corpus).training.pretrain
    assert found.eval_every == every


def test_the_settings_of_a_candidate_take_the_engine_that_was_measured(
    tiny: Callable[..., Settings],
) -> None:
    shape = tiny().model.model_copy(update={"n_layer": 5})
    found = candidates.resolve_settings(tiny(), Candidate(shape, 8), ENGINE, 50)
    assert (found.model.n_layer, found.model.attention) == (5, "plain")
    assert found.training.pretrain.micro_batch_size == 2
    assert (found.device.precision, found.device.compile) == ("fp32", "off")
    assert found.device.measure is False


def row(n_layer: int, status: str = "ok", vocab_size: int = 260, context: int = 128) -> Any:
    shape = ModelSettings(n_layer=n_layer, n_head=4, n_embd=64, context_length=context)
    job = {"shape": shape.model_dump(mode="json"), "vocab_size": vocab_size}
    return {"status": status, "params": 1000 * n_layer, "job": job}


def test_of_a_bench_the_ends_and_the_middle_are_taken_that_fit_these_settings(
    tiny: Callable[..., Settings],
) -> None:
    settings = tiny()
    rows = [row(n) for n in (5, 3, 9, 4, 7)]
    rows += [row(99, "oom"), row(98, vocab_size=261), row(97, context=256)]
    other = row(96)
    other["job"]["shape"]["of_another_version"] = 1
    found = candidates.from_bench([*rows, other], settings, 260)
    assert [shape.n_layer for shape in found] == [3, 5, 9, settings.model.n_layer]
    assert candidates.from_bench([row(98, context=256)], settings, 260) == []
