"""The race of pilots: equal in time, each shape first, then whatever may be best."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nielsgpt.config.settings import ModelSettings
from nielsgpt.experiments.candidates import Candidate
from nielsgpt.experiments.pilot_race import (
    FEWEST_STEPS,
    LONG,
    PilotBudget,
    PilotRace,
    PilotRound,
    middle_of_ranking,
    round_seconds,
)
from nielsgpt.experiments.plan import FEWEST_PILOTS
from nielsgpt.experiments.scaling_law import LossForecast
from nielsgpt.experiments.throughput import CandidateSpeed
from nielsgpt.system.device import ExecutionConfig

ENGINE = ExecutionConfig("cpu", "fp32", "plain", False, 1, 2)
BUDGET = PilotBudget(run_s=3600.0, pilot_s=600.0)


def ways() -> list[CandidateSpeed]:
    """Three shapes in three batches; the larger the slower."""
    made = []
    for layers in (2, 4, 8):
        shape = ModelSettings(n_layer=layers, n_head=2, n_embd=64, context_length=64)
        for rows in (4, 8, 16):
            row: dict[str, Any] = {"ms_per_step": 1.5 * layers * (rows + 1), "params": layers}
            made.append(CandidateSpeed(Candidate(shape, rows), ENGINE, row, steps=10**6))
    return made


def favouring(best: int) -> LossForecast:
    """A forecast in which one option always ends best."""
    draws = np.ones((2000, 9))
    draws[:, best] = 0.0
    return LossForecast(draws)


def run(best: int = 0, enough: bool = True, budget: PilotBudget = BUDGET) -> PilotRace:
    race = PilotRace(ways(), budget, lambda: enough, lambda: favouring(best))
    assert list(race.legs()) == race.run
    return race


def named(legs: list[PilotRound]) -> list[tuple[int, int]]:
    return [(leg.way.candidate.shape.n_layer, leg.way.candidate.batch_size) for leg in legs]


def test_first_each_shape_has_a_short_and_a_long_pilot_in_the_middle_batch() -> None:
    legs = run().run
    assert named(legs[:6]) == [(2, 8), (4, 8), (8, 8)] * 2
    assert [leg.seconds for leg in legs[:3]] == pytest.approx([25.0] * 3, rel=0.1)
    assert [leg.seconds for leg in legs[3:6]] == pytest.approx([75.0] * 3, rel=0.1)


@pytest.mark.parametrize("best", [0, 5, 8])
def test_then_time_goes_to_what_may_be_best_and_to_nothing_else(best: int) -> None:
    later = run(best).run[6:]
    won = ways()[best].candidate
    assert later
    assert set(named(later)) == {(won.shape.n_layer, won.batch_size)}


def test_a_race_keeps_within_its_time_and_no_pilot_is_run_twice() -> None:
    for best in range(9):
        race = run(best)
        assert race.spent_s == pytest.approx(sum(leg.seconds for leg in race.run))
        assert race.spent_s <= BUDGET.pilot_s
        assert len(set(race.run)) == len(race.run)


def test_no_pilot_has_too_few_steps_or_takes_half_of_a_short_run() -> None:
    race = run(budget=PilotBudget(run_s=60.0, pilot_s=600.0))
    assert min(leg.steps for leg in race.run) >= round_seconds(FEWEST_STEPS)
    assert max(leg.seconds for leg in race.run) <= 31.0


@pytest.mark.parametrize("whole", [90, FEWEST_STEPS // 2])
def test_no_pilot_is_longer_than_its_run_and_one_as_long_is_run_once(whole: int) -> None:
    ways_in = [replace(way, steps=whole) for way in ways()]
    race = PilotRace(ways_in, BUDGET, lambda: True, lambda: favouring(0))
    steps = [leg.steps for leg in race.legs() if leg.way is ways_in[0]]
    assert steps == [whole]


def test_what_is_too_slow_for_a_pilot_has_none_and_another_batch_stands_for_its_shape() -> None:
    slow = [
        replace(way, row={"ms_per_step": 1e6}) if way.candidate.batch_size == 8 else way
        for way in ways()
    ]
    first = middle_of_ranking(
        [way for way in slow if PilotRace(slow, BUDGET, bool, LossForecast)._leg(way, LONG)]
    )
    assert [way.candidate.batch_size for way in first] == [4, 4, 4]
    assert middle_of_ranking([]) == []


def test_with_many_shapes_the_first_pilots_leave_time_for_a_race() -> None:
    shapes = [
        ModelSettings(n_layer=n, n_head=2, n_embd=64, context_length=64) for n in range(1, 13)
    ]
    row: dict[str, Any] = {"ms_per_step": 5.0}
    many = [CandidateSpeed(Candidate(shape, 8), ENGINE, row, steps=10**6) for shape in shapes]
    race = PilotRace(many, BUDGET, lambda: True, lambda: favouring(0))
    first = sum(leg.seconds for leg in list(race.legs())[:24])
    assert first <= 0.55 * BUDGET.pilot_s
    assert race.spent_s <= BUDGET.pilot_s


def test_pilots_are_counted_as_they_run_which_is_not_compiled() -> None:
    way = replace(ways()[0], gain=2.0)
    assert PilotRound(way, 100).seconds == pytest.approx(100 * way.trial_s)


def test_one_option_alone_has_as_many_pilots_as_a_plan_needs() -> None:
    race = PilotRace(ways()[:1], BUDGET, lambda: False, lambda: favouring(0))
    assert len(list(race.legs())) >= FEWEST_PILOTS


def test_without_a_law_the_rest_have_their_short_ones() -> None:
    assert named(run(enough=False).run[6:9]) == [(2, 4), (2, 16), (4, 4)]


@pytest.mark.parametrize(
    ("run_s", "expected"),
    [(180, 180), (600, 300), (3600, 600), (12_000, 1200), (8 * 3600, 2400), (360_000, 2400)],
)
def test_short_runs_have_half_their_time_of_pilots_and_long_ones_a_tenth(
    run_s: float, expected: float
) -> None:
    assert PilotBudget.usual(run_s).pilot_s == expected
    assert PilotBudget.usual(run_s, 7.0).pilot_s == 7.0
