"""A time budget is kept whatever the machine does, and ends at the lowest rate."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from nielsgpt.config.settings import PhaseSettings
from nielsgpt.training.lr_schedule import LRSchedule, lr_at, steepest_fall
from nielsgpt.training.time_budget import TimeBudget

Pace = Callable[[float, int], float]  # seconds of a step, from the seconds so far and its number
MINUTES = [1.0, 10.0, *(pytest.param(long, marks=pytest.mark.slow) for long in (60.0, 600.0))]
EVALUATION_S, SAVE_S = 4.0, 1.0


def night(
    minutes: float, pace: Pace, evaluation_s: float = EVALUATION_S, spent_s: float = 0.0
) -> tuple[float, float, int]:
    """What the loop does under a budget: seconds taken, the last rate's share, the steps."""
    time_s, step, rate = spent_s, 0, 0.0
    phase = PhaseSettings(minutes=minutes, min_learning_rate=0.0, eval_every=200)
    clock = TimeBudget(60 * minutes, spent_s, now=lambda: time_s - spent_s)
    horizon = LRSchedule.for_phase(phase)
    while step < horizon.end:
        rate = lr_at(step, phase, horizon)
        time_s += pace(time_s, step)
        step += 1
        if step < horizon.end:
            end = clock.last_step(step, 0)
            horizon = horizon if end is None else horizon.with_end(step, end, phase)
        look = clock.is_warmed_up(step, 0)
        if look or step % phase.eval_every == 0 or step >= horizon.end:
            time_s += evaluation_s
            passes = round(evaluation_s / 0.1)
            clock.record_pause("evaluation", evaluation_s, phase.eval_every, passes)
        if look or step % phase.eval_every == 0 or step >= horizon.end:
            time_s += SAVE_S
            clock.record_pause("save", SAVE_S, phase.eval_every)
    return time_s, rate / phase.learning_rate, step


@pytest.mark.parametrize("minutes", MINUTES)
@pytest.mark.parametrize(
    "pace",
    [
        lambda time_s, step: 0.3,
        lambda time_s, step: 20.0 if step == 0 else 0.3,
        lambda time_s, step: 0.3 if step % 7 else 0.9,
    ],
    ids=["constant", "long compilation", "every seventh is slow"],
)
def test_a_budget_is_kept_within_three_percent(minutes: float, pace: Pace) -> None:
    taken, share, _ = night(minutes, pace)
    assert taken == pytest.approx(60 * minutes, rel=0.03)
    assert share <= 0.05


@pytest.mark.parametrize("factor", [2.0, 0.5])
@pytest.mark.parametrize("minutes", MINUTES)
def test_a_budget_is_kept_when_the_machine_changes_its_speed_half_way(
    minutes: float, factor: float
) -> None:
    def pace(time_s: float, step: int) -> float:
        return 0.3 * (factor if time_s > 30 * minutes else 1.0)

    taken, share, _ = night(minutes, pace)
    assert taken == pytest.approx(60 * minutes, rel=0.03)
    assert share <= 0.05


@pytest.mark.parametrize("minutes", MINUTES)
def test_long_evaluations_are_part_of_the_budget(minutes: float) -> None:
    taken, share, _ = night(minutes, lambda time_s, step: 0.3, evaluation_s=9.0)
    assert taken == pytest.approx(60 * minutes, rel=0.03)
    assert share <= 0.05


@pytest.mark.parametrize("minutes", MINUTES)
def test_a_resumed_session_keeps_what_is_left_of_the_budget(minutes: float) -> None:
    taken, share, _ = night(minutes, lambda time_s, step: 0.3, spent_s=20 * minutes)
    assert taken == pytest.approx(60 * minutes, rel=0.03)
    assert share <= 0.05


def test_a_budget_that_is_spent_still_ends_in_a_few_steps_at_the_lowest_rate() -> None:
    _, share, steps = night(1.0, lambda time_s, step: 0.3, spent_s=100.0)
    assert steps <= 5
    assert share == 0.0


def test_the_whole_budget_is_used_for_steps() -> None:
    _, _, steps = night(60.0, lambda time_s, step: 0.3, evaluation_s=0.0)
    assert steps == pytest.approx((3600 - 3600 / 60) / 0.3, rel=0.03)


def test_a_run_that_went_back_forgets_its_pace() -> None:
    time_s = 0.0
    clock = TimeBudget(60.0, now=lambda: time_s)
    for step in range(1, 20):
        time_s += 0.3
        clock.last_step(step, 0)
    assert clock.last_step(5, 0) is None
    time_s += 1.0
    assert clock.last_step(6, 0) == 6 + round(60 - time_s)


@pytest.mark.parametrize("schedule", ["warmup_cosine", "trapezoid"])
@pytest.mark.parametrize("where", [0.1, 0.5, 0.85])
@pytest.mark.parametrize("stall", [0.01, 0.1, 0.42, 0.6])
@pytest.mark.parametrize("during", ["step", "evaluation", "save"])
def test_a_stall_costs_its_own_time_and_the_rate_still_falls_smoothly(
    schedule: str, where: float, stall: float, during: str
) -> None:
    budget_s, time_s, step, left = 60.0, 0.0, 0, stall * 60.0
    phase = PhaseSettings.model_validate(
        {"minutes": 1.0, "min_learning_rate": 0.0, "eval_every": 50, "schedule": schedule}
    )
    clock, horizon = TimeBudget(budget_s, now=lambda: time_s), LRSchedule.for_phase(phase)
    rates: list[float] = []

    def spend(seconds: float, kind: str) -> float:
        nonlocal time_s, left
        if kind == during and time_s >= where * budget_s:
            seconds, left = seconds + left, 0.0
        time_s += seconds
        return seconds

    while step < horizon.end:
        rates.append(lr_at(step, phase, horizon) / phase.learning_rate)
        spend(0.02, "step")
        step += 1
        end = clock.last_step(step, 0) if step < horizon.end else None
        horizon = horizon if end is None else horizon.with_end(step, end, phase)
        if clock.is_warmed_up(step, 0) or step % 50 == 0 or step >= horizon.end:
            clock.record_pause("evaluation", spend(0.1, "evaluation"), 50, 15)
            clock.record_pause("save", spend(0.05, "save"), 50)
    assert left == 0.0
    drops = [before - after for before, after in pairwise(rates)]
    assert max(drops) <= 0.15
    assert rates[-1] <= 0.05
    assert time_s == pytest.approx(max(budget_s, (where + stall) * budget_s), rel=0.03)


@pytest.mark.parametrize("schedule", ["warmup_cosine", "trapezoid"])
@pytest.mark.parametrize("step_s", [0.02, 0.5, 3.0], ids=["thousands", "a hundred", "twenty"])
@pytest.mark.parametrize(
    "stalls",
    [{2: 20.0}, {3: 20.0}, {4: 5.0, 5: 9.0}, {"first": 25.0}, {"first": 9.0, 6: 5.0, 12: 9.0}],
    ids=["in settling", "in the third step", "twice at once", "first evaluation", "three"],
)
def test_early_and_repeated_stalls_leave_the_budget_used_and_the_rate_smooth(
    stalls: dict[int | str, float], step_s: float, schedule: str
) -> None:
    time_s, step = 0.0, 0
    phase = PhaseSettings.model_validate(
        {"minutes": 1.0, "min_learning_rate": 0.0, "eval_every": 50, "schedule": schedule}
    )
    clock, horizon = TimeBudget(60.0, now=lambda: time_s), LRSchedule.for_phase(phase)
    rates: list[float] = []
    while step < horizon.end:
        rates.append(lr_at(step, phase, horizon) / phase.learning_rate)
        step += 1
        time_s += step_s + stalls.get(step, 0.0)
        end = clock.last_step(step, 0) if step < horizon.end else None
        horizon = horizon if end is None else horizon.with_end(step, end, phase)
        warm = clock.is_warmed_up(step, 0)
        if warm or step % 50 == 0 or step >= horizon.end:
            pause_s = 0.1 + (stalls.get("first", 0.0) if warm else 0.0)
            time_s += pause_s
            clock.record_pause("evaluation", pause_s, 50, 1)
    drops = [before - after for before, after in pairwise(rates)]
    assert max(drops) <= 1.05 * steepest_fall(step, phase)
    assert rates[-1] <= 0.05
    assert time_s == pytest.approx(60.0, abs=max(1.8, 1.5 * step_s))
