"""Pilots: the same run every time, identified by what decides its loss, and chosen in a race."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.main import main
from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.experiments import candidates, pilots
from nielsgpt.experiments.candidates import Candidate
from nielsgpt.experiments.pilots import (
    MIN_STEPS,
    PilotBudget,
    PilotJob,
    PilotRace,
    PilotRun,
    pick_per_shape,
    round_steps,
)
from nielsgpt.experiments.plan import MIN_PILOTS
from nielsgpt.experiments.scaling_law import LossForecast
from nielsgpt.experiments.throughput import PlanOption
from nielsgpt.pipeline import pipeline
from nielsgpt.system.workspace import Workspace
from nielsgpt.training.trainer import Trainer
from tests.experiments.conftest import EXECUTION

BUDGET = PilotBudget(run_s=3600.0, pilots_s=600.0)


def make_job(settings: Settings, root: Path, steps: int = 4, batch: int = 4) -> PilotJob:
    candidate = Candidate(settings.model, batch)
    settings = candidates.resolve_settings(settings, candidate, EXECUTION, steps)
    return PilotJob(root=str(root), settings=settings, execution=EXECUTION, data="the caches")


def test_a_pilot_ends_with_the_same_bits_per_byte_every_time(
    tiny: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = tiny()
    pipeline.caches(Workspace(tmp_path, settings))
    ready: list[int] = []
    job = PilotJob.model_validate_json(make_job(settings, tmp_path).model_dump_json())
    once, again = (pilots.train_pilot(job, lambda: ready.append(1)) for _ in range(2))
    assert once["bits_per_byte"] == again["bits_per_byte"]
    assert 1.0 < once["bits_per_byte"] < 9.0
    assert once["tokens"] == 4 * 4 * settings.model.context_length
    assert ready == [1, 1]
    longer = pilots.train_pilot(make_job(settings, tmp_path, steps=12), lambda: None)
    assert longer["bits_per_byte"] < once["bits_per_byte"]


def test_a_pilot_counts_its_best_evaluation_as_a_run_keeps_its_best_state(
    tiny: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny(training={"pretrain": {"eval_every": 2}})
    pipeline.caches(Workspace(tmp_path, settings))
    bits = iter([3.0, 2.0, 4.0])
    monkeypatch.setattr(
        Trainer,
        "metric",
        lambda self, figure, _=None: next(bits) if figure == "bits_per_byte" else 1.0,
    )
    row = pilots.train_pilot(make_job(settings, tmp_path, steps=5), lambda: None)
    assert row["bits_per_byte"] == 2.0
    assert row["tokens"] == 5 * 4 * settings.model.context_length


def test_the_key_of_a_pilot_covers_what_decides_its_loss_and_nothing_else(
    tiny: Callable[..., Settings], tmp_path: Path
) -> None:
    first = make_job(tiny(), tmp_path)
    same = [
        make_job(tiny(), tmp_path / "elsewhere"),
        make_job(tiny(name="another"), tmp_path),
        make_job(tiny(training={"pretrain": {"checkpoint_every": 5}}), tmp_path),
    ]
    other = [
        make_job(tiny(), tmp_path, steps=5),
        make_job(tiny(), tmp_path, batch=2),
        make_job(tiny(seed=7), tmp_path),
        make_job(tiny(training={"pretrain": {"eval_every": 5}}), tmp_path),
        make_job(tiny(model={"n_layer": 3}), tmp_path),
        first.model_copy(update={"data": "other caches"}),
    ]
    assert {one.key for one in same} == {first.key}
    assert len({one.key for one in [first, *other]}) == 1 + len(other)


@pytest.mark.slow
def test_the_command_plans_on_real_caches_and_its_config_trains(
    root: Path, tiny: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "tiny.json").write_text(json.dumps(tiny().model_dump(mode="json")), encoding="utf-8")
    words = ["plan", "-c", "tiny.json", "--minutes", "0.5", "--pilot-minutes", "0.02"]
    main([*words, "--batches", "2,4", "--name", "night"])
    output = capsys.readouterr().out
    assert "chosen: " in output
    assert output.splitlines()[-1] == "nielsgpt pipeline --config plans/night.json"
    tree = json.loads((root / "plans/night.json").read_text("utf-8"))
    assert (tree["name"], tree["extends"]) == ("night", "../tiny.json")
    main(["pretrain", "-c", "plans/night.json", "--minutes", "0.05"])
    assert (root / "checkpoints/night/pretrain/best.pt").exists()
    done = capsys.readouterr()
    assert "tokenizer: training" not in done.err


def make_options() -> list[PlanOption]:
    """Three shapes in three batches; the larger, the slower."""
    options = []
    for layers in (2, 4, 8):
        shape = ModelSettings(n_layer=layers, n_head=2, n_embd=64, context_length=64)
        for rows in (4, 8, 16):
            row: dict[str, Any] = {"ms_per_step": 1.5 * layers * (rows + 1), "params": layers}
            options.append(PlanOption(Candidate(shape, rows), EXECUTION, row, steps=10**6))
    return options


def favor(best: int) -> LossForecast:
    """A forecast in which one option always ends best."""
    draws = np.ones((2000, 9))
    draws[:, best] = 0.0
    return LossForecast(draws)


def run_race(best: int = 0, enough: bool = True, budget: PilotBudget = BUDGET) -> PilotRace:
    race = PilotRace(make_options(), budget, lambda: enough, lambda: favor(best))
    assert list(race.run()) == race.started
    return race


def describe(started: list[PilotRun]) -> list[tuple[int, int]]:
    return [
        (pilot.option.candidate.shape.n_layer, pilot.option.candidate.batch_size)
        for pilot in started
    ]


def test_each_shape_first_has_a_short_and_a_long_pilot_at_the_median_batch() -> None:
    started = run_race().started
    assert describe(started[:6]) == [(2, 8), (4, 8), (8, 8)] * 2
    assert [pilot.seconds for pilot in started[:3]] == pytest.approx([25.0] * 3, rel=0.1)
    assert [pilot.seconds for pilot in started[3:6]] == pytest.approx([75.0] * 3, rel=0.1)


@pytest.mark.parametrize("best", [0, 5, 8])
def test_then_time_goes_to_the_contenders_only(best: int) -> None:
    later = run_race(best).started[6:]
    winner = make_options()[best].candidate
    assert later
    assert set(describe(later)) == {(winner.shape.n_layer, winner.batch_size)}


def test_a_race_keeps_within_its_time_and_runs_no_pilot_twice() -> None:
    for best in range(9):
        race = run_race(best)
        assert race.spent_s == pytest.approx(sum(pilot.seconds for pilot in race.started))
        assert race.spent_s <= BUDGET.pilots_s
        assert len(set(race.started)) == len(race.started)


def test_no_pilot_has_too_few_steps_or_takes_half_of_a_short_run() -> None:
    race = run_race(budget=PilotBudget(run_s=60.0, pilots_s=600.0))
    assert min(pilot.steps for pilot in race.started) >= round_steps(MIN_STEPS)
    assert max(pilot.seconds for pilot in race.started) <= 31.0


@pytest.mark.parametrize("run_steps", [90, MIN_STEPS // 2])
def test_no_pilot_is_longer_than_its_run_and_one_as_long_is_run_once(run_steps: int) -> None:
    options = [replace(option, steps=run_steps) for option in make_options()]
    race = PilotRace(options, BUDGET, lambda: True, lambda: favor(0))
    steps = [pilot.steps for pilot in race.run() if pilot.option is options[0]]
    assert steps == [run_steps]


def test_an_option_too_slow_for_a_pilot_is_replaced_by_another_batch() -> None:
    slow = [
        replace(option, trial={"ms_per_step": 1e6}) if option.candidate.batch_size == 8 else option
        for option in make_options()
    ]
    race = PilotRace(slow, BUDGET, lambda: True, lambda: favor(0))
    assert describe(list(race.run())[:3]) == [(2, 4), (4, 4), (8, 4)]
    assert pick_per_shape([]) == []


def test_with_many_shapes_the_first_pilots_leave_time_for_a_race() -> None:
    shapes = [
        ModelSettings(n_layer=n, n_head=2, n_embd=64, context_length=64) for n in range(1, 13)
    ]
    row: dict[str, Any] = {"ms_per_step": 5.0}
    many = [PlanOption(Candidate(shape, 8), EXECUTION, row, steps=10**6) for shape in shapes]
    race = PilotRace(many, BUDGET, lambda: True, lambda: favor(0))
    first = sum(pilot.seconds for pilot in list(race.run())[:24])
    assert first <= 0.55 * BUDGET.pilots_s
    assert race.spent_s <= BUDGET.pilots_s


def test_the_time_of_a_pilot_is_that_of_uncompiled_steps() -> None:
    option = replace(make_options()[0], speedup=2.0)
    assert PilotRun(option, 100).seconds == pytest.approx(100 * option.trial_step_s)


def test_a_single_option_has_as_many_pilots_as_a_plan_needs() -> None:
    race = PilotRace(make_options()[:1], BUDGET, lambda: False, lambda: favor(0))
    assert len(list(race.run())) >= MIN_PILOTS


def test_without_a_law_the_other_options_have_their_short_pilots() -> None:
    assert describe(run_race(enough=False).started[6:9]) == [(2, 4), (2, 16), (4, 4)]


@pytest.mark.parametrize(
    ("run_s", "expected"),
    [(180, 180), (600, 300), (3600, 600), (12_000, 1200), (8 * 3600, 2400), (360_000, 2400)],
)
def test_pilots_take_half_the_time_of_a_short_run_and_a_tenth_of_a_long_one(
    run_s: float, expected: float
) -> None:
    assert PilotBudget.for_run(run_s).pilots_s == expected
    assert PilotBudget.for_run(run_s, 7.0).pilots_s == 7.0
