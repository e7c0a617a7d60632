"""The learning rate's way is one line, also where the end moves."""

import itertools
import math

import pytest

from nielsgpt.config.settings import PhaseSettings
from nielsgpt.training.lr_schedule import FAR, LRSchedule, lr_at, steepest_fall

PHASE = PhaseSettings(max_steps=100, warmup_steps=10, learning_rate=1.0, min_learning_rate=0.1)
BUDGET = PHASE.model_copy(update={"minutes": 1.0, "min_learning_rate": 0.05})


def test_the_rate_starts_at_zero_peaks_after_the_warm_up_and_ends_at_the_minimum() -> None:
    assert lr_at(0, PHASE) == 0.0
    assert lr_at(5, PHASE) == pytest.approx(0.5)
    assert lr_at(10, PHASE) == pytest.approx(1.0)
    assert lr_at(99, PHASE) == pytest.approx(0.1)


def test_the_cosine_is_half_way_down_in_the_middle() -> None:
    phase = PHASE.model_copy(update={"max_steps": 111, "schedule": "warmup_cosine"})
    assert lr_at(60, phase) == pytest.approx(0.55)


@pytest.mark.parametrize("schedule", ["warmup_cosine", "trapezoid"])
@pytest.mark.parametrize("ends", [(200, 60, 300), (50, 1000, 80), (40, 39, 38), (400, 41, 41)])
def test_the_rate_never_jumps_when_the_end_moves(schedule: str, ends: tuple[int, ...]) -> None:
    phase = BUDGET.model_copy(update={"schedule": schedule, "cooldown_fraction": 0.5})
    horizon, rates, moves = (
        LRSchedule.for_phase(phase),
        [],
        dict(zip((3, 20, 36), ends, strict=True)),
    )
    step = 0
    while step < horizon.end:
        rates.append(lr_at(step, phase, horizon))
        step += 1
        if step in moves:
            before = [lr_at(s, phase, horizon) for s in range(step)]
            horizon = horizon.with_end(step, moves[step], phase)
            # Bent at the last step made: that one is where it was.
            assert lr_at(step - 1, phase, horizon) == pytest.approx(before[-1])
            assert math.isclose(horizon.progress_at(horizon.end - 1), 1.0)
    assert rates[-1] == pytest.approx(0.05)
    slopes = [abs(b - a) for a, b in itertools.pairwise(rates)]
    steps_left = [moves[3] - 3, moves[20] - 20, moves[36] - 36]
    assert max(slopes) <= max(0.21, *(4 / max(1, left) for left in steps_left))


@pytest.mark.parametrize("schedule", ["warmup_cosine", "trapezoid"])
@pytest.mark.parametrize("step", [4, 12, 40, 100, 190])
def test_an_end_that_is_due_at_once_comes_late_and_the_rate_falls_in_bounded_steps(
    step: int, schedule: str
) -> None:
    phase = BUDGET.model_copy(update={"schedule": schedule})
    begun = LRSchedule.for_phase(phase).with_end(3, 200, phase)
    moved = begun.with_end(step, step + 1, phase)
    rates = [lr_at(s, phase, begun if s < step else moved) for s in range(moved.end)]
    falls = [before - after for before, after in itertools.pairwise(rates)]
    assert max(falls) <= steepest_fall(step + 1, phase) + 1e-9
    assert rates[-1] == pytest.approx(0.05)
    assert moved.end <= step + 20


def test_a_long_warm_up_is_cut_to_a_tenth_of_a_short_night() -> None:
    phase = BUDGET.model_copy(update={"warmup_steps": 340})
    horizon = LRSchedule.for_phase(phase).with_end(3, 202, phase)
    assert horizon.warmup == 2 + 20
    assert lr_at(2, phase, horizon) == pytest.approx(2 / 340)
    assert lr_at(22, phase, horizon) == pytest.approx(1.0)


def test_a_finished_budget_that_grows_goes_on_at_the_share_that_is_spent() -> None:
    ended = LRSchedule.for_phase(BUDGET).with_end(3, 50, BUDGET)
    assert ended.extend(49, 0.5) is ended
    grown = ended.extend(50, 0.5)
    assert (grown.progress_at(50), grown.end, grown.known_end) == (0.5, FAR, 0)
    assert grown.with_end(60, 100, BUDGET).progress_at(99) == pytest.approx(1.0)


def test_a_horizon_comes_back_from_its_state() -> None:
    horizon = LRSchedule.for_phase(PHASE).with_end(30, 77, PHASE)
    assert LRSchedule.load(horizon.state()) == horizon


def test_a_time_budget_ends_at_a_twentieth_of_the_peak_or_below() -> None:
    numbers = {"max_steps": 100, "warmup_steps": 10, "learning_rate": 1.0, "min_learning_rate": 0.1}
    free = PhaseSettings.model_validate(numbers)
    timed = PhaseSettings.model_validate({**numbers, "minutes": 5.0})
    horizon = LRSchedule.for_phase(free)
    assert lr_at(99, free, horizon) == pytest.approx(0.1)
    assert lr_at(99, timed, horizon) == pytest.approx(0.05)
