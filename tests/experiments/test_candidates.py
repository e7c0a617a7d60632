"""Candidates: the default ones, those of a bench, and the settings that train one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.experiments import candidates
from nielsgpt.experiments.candidates import Candidate
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.training.lr_schedule import COOLED, LRSchedule, lr_at

EXECUTION = ExecutionConfig("cpu", "fp32", "plain", False, 1, 2)


def resolve_phase(settings: Settings, batch: int, steps: int) -> Any:
    candidate = Candidate(settings.model, batch)
    execution = replace(EXECUTION, micro_batch_size=1)
    return candidates.resolve_settings(settings, candidate, execution, steps).training.pretrain


def test_the_settings_own_shape_and_batch_are_among_the_candidates(
    tiny: Callable[..., Settings],
) -> None:
    settings = tiny()
    own = Candidate(settings.model, settings.training.pretrain.batch_size)
    listed = candidates.list_candidates(settings)
    assert own in listed
    assert len(listed) == len(set(listed)) == 12
    widths = {c.shape.n_embd // c.shape.n_head for c in listed}
    assert widths == {settings.model.n_embd // settings.model.n_head}


def test_given_shapes_and_batches_are_the_only_ones(tiny: Callable[..., Settings]) -> None:
    shape = ModelSettings(n_layer=3, n_head=2, n_embd=48, context_length=128)
    listed = candidates.list_candidates(tiny(), [shape, shape], [1, 7])
    assert listed == [Candidate(shape, 1), Candidate(shape, 7)]


@pytest.mark.parametrize(("batch", "times"), [(4, 1.0), (16, 2.0), (1, 0.5), (64, 2.0), (9, 1.5)])
def test_learning_rates_scale_with_the_root_of_the_batch_within_bounds(
    tiny: Callable[..., Settings], batch: int, times: float
) -> None:
    settings = tiny()
    own, resolved = settings.training.pretrain, resolve_phase(tiny(), batch, 100)
    assert resolved.learning_rate == pytest.approx(times * own.learning_rate)
    assert resolved.muon_learning_rate == pytest.approx(times * own.muon_learning_rate)
    assert resolved.eval_batches * batch >= own.eval_batches * own.batch_size / 2


def test_a_candidate_ends_with_a_cooldown_after_a_short_warm_up(
    tiny: Callable[..., Settings],
) -> None:
    resolved = resolve_phase(tiny(training={"pretrain": {"warmup_steps": 300}}), 4, 200)
    assert resolved.warmup_steps == 10
    assert lr_at(199, resolved) <= COOLED * resolved.learning_rate + 1e-12
    assert lr_at(10, resolved) == pytest.approx(resolved.learning_rate)


def test_the_cooldown_follows_the_steps_even_if_the_config_has_a_time_budget(
    tiny: Callable[..., Settings],
) -> None:
    resolved = resolve_phase(tiny(training={"pretrain": {"minutes": 30.0}}), 4, 100)
    assert resolved.minutes is None
    assert (
        lr_at(99, resolved, LRSchedule.for_phase(resolved))
        <= COOLED * resolved.learning_rate + 1e-12
    )


@pytest.mark.parametrize(("corpus", "every"), [(5_000, 60), (100_352, 196), (10_000_000, 200)])
def test_text_is_evaluated_once_an_epoch_unless_that_is_costly_or_rarer_than_before(
    tiny: Callable[..., Settings], corpus: int, every: int
) -> None:
    settings = tiny(training={"pretrain": {"eval_every": 200, "eval_batches": 60}})
    candidate = Candidate(settings.model, 4)
    assert settings.training.pretrain.batch_size == 4
    resolved = candidates.resolve_settings(
        settings, candidate, EXECUTION, 100, corpus
    ).training.pretrain
    assert resolved.eval_every == every


def test_the_settings_of_a_candidate_use_the_measured_execution(
    tiny: Callable[..., Settings],
) -> None:
    shape = tiny().model.model_copy(update={"n_layer": 5})
    resolved = candidates.resolve_settings(tiny(), Candidate(shape, 8), EXECUTION, 50)
    assert (resolved.model.n_layer, resolved.model.attention) == (5, "plain")
    assert resolved.training.pretrain.micro_batch_size == 2
    assert (resolved.device.precision, resolved.device.compile) == ("fp32", "off")
    assert resolved.device.measure is False


def bench_row(n_layer: int, status: str = "ok", vocab_size: int = 260, context: int = 128) -> Any:
    shape = ModelSettings(n_layer=n_layer, n_head=4, n_embd=64, context_length=context)
    job = {"shape": shape.model_dump(mode="json"), "vocab_size": vocab_size}
    return {"status": status, "params": 1000 * n_layer, "job": job}


def test_the_smallest_middle_and_largest_matching_shape_of_a_bench_are_selected(
    tiny: Callable[..., Settings],
) -> None:
    settings = tiny()
    rows = [bench_row(n) for n in (5, 3, 9, 4, 7)]
    rows += [bench_row(99, "oom"), bench_row(98, vocab_size=261), bench_row(97, context=256)]
    other = bench_row(96)
    other["job"]["shape"]["setting_of_another_version"] = 1
    shapes = candidates.select_bench_shapes([*rows, other], settings, 260)
    assert [shape.n_layer for shape in shapes] == [3, 5, 9, settings.model.n_layer]
    assert candidates.select_bench_shapes([bench_row(98, context=256)], settings, 260) == []
