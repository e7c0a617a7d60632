"""What the guard lets through, what it does not, and that nothing holds it for ever."""

import numpy as np
import pytest

from nielsgpt.config.settings import PhaseSettings
from nielsgpt.training.spike_guard import HOPELESS, SpikeGuard

PHASE = PhaseSettings()


def calm(steps: int = 200) -> SpikeGuard:
    guard, random = SpikeGuard(PHASE), np.random.default_rng(0)
    for _ in range(steps):
        assert (
            guard.reason_to_skip(2 * np.exp(random.normal(0, 0.02)), random.lognormal(0, 0.2))
            is None
        )
    return guard


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_skipped_from_the_first_step_on(bad: float) -> None:
    for loss, norm in ((bad, 1.0), (1.0, bad)):
        assert "not finite" in str(SpikeGuard(PHASE).reason_to_skip(loss, norm))


@pytest.mark.parametrize(("loss", "norm", "name"), [(200.0, 1.0, "loss"), (2.0, 100.0, "gradient")])
def test_an_outlier_of_a_hundred_times_the_usual_is_skipped_in_words(
    loss: float, norm: float, name: str
) -> None:
    why = str(calm().reason_to_skip(loss, norm))
    assert why.startswith(name)
    assert "times the usual" in why


def test_zero_sigmas_let_everything_finite_through() -> None:
    guard = SpikeGuard(PHASE.model_copy(update={"outlier_sigmas": 0.0}))
    for _ in range(100):
        guard.reason_to_skip(2.0, 1.0)
    assert guard.reason_to_skip(1e6, 1e6) is None


@pytest.mark.parametrize("tail", ["lognormal", "pareto", "student"])
def test_a_smooth_run_is_left_alone(tail: str) -> None:
    """Losses that fall with noise, heavy-tailed gradient norms: at most 1 in 10,000 is skipped."""
    steps, skipped = 20_000, 0
    for seed in range(2):
        random, k = np.random.default_rng(seed), np.arange(steps)
        losses = (1.5 + 7 * np.exp(-k / 300)) * np.exp(random.normal(0, 0.02, steps))
        norms = {
            "lognormal": random.lognormal(0, 0.4, steps),
            "pareto": 1 + random.pareto(2, steps),
            "student": np.exp(0.2 * random.standard_t(6, steps)),
        }[tail] * (1 + 5 * np.exp(-k / 50))
        guard = SpikeGuard(PHASE)
        skipped += sum(
            guard.reason_to_skip(float(loss), float(norm)) is not None
            for loss, norm in zip(losses, norms, strict=True)
        )
    assert skipped / (2 * steps) <= 1e-4


def test_three_in_a_row_lead_back_at_half_the_rate_and_the_same_stretch_does_not_again() -> None:
    guard = calm()
    for step in (201, 202, 203):
        assert not guard.wants_rollback(step - 1)
        guard.reason_to_skip(float("nan"), 1.0)
    assert guard.wants_rollback(203)
    guard.roll_back(203)
    assert guard.rate_scale == 0.5
    for step in (201, 202, 203, 204, 205):
        guard.reason_to_skip(float("nan"), 1.0)
        assert not guard.wants_rollback(step)
    guard.reason_to_skip(2.0, 1.0)
    for _ in range(3):
        guard.reason_to_skip(float("nan"), 1.0)
    assert guard.wants_rollback(209)


def test_a_stretch_without_an_end_leads_back_after_all() -> None:
    guard = calm()
    guard.roll_back(210)
    for _ in range(HOPELESS * PHASE.rollback_after):
        assert not guard.wants_rollback(205)
        guard.reason_to_skip(float("nan"), 1.0)
    assert guard.wants_rollback(205)


def test_a_change_that_lasts_becomes_the_usual() -> None:
    guard = calm()
    verdicts = [guard.reason_to_skip(4.0, 1.0) for _ in range(40)]
    assert verdicts[0] is not None
    assert verdicts[-1] is None
    assert sum(why is not None for why in verdicts) < 30


def test_a_guard_goes_on_from_its_state() -> None:
    guard, other = calm(), SpikeGuard(PHASE)
    other.load(guard.state())
    figures = [(2.1, 1.0), (200.0, 1.0), (2.0, 90.0), (float("nan"), 1.0), (1.9, 2.0)]
    assert [guard.reason_to_skip(*f) for f in figures] == [
        other.reason_to_skip(*f) for f in figures
    ]
    assert guard.state() == other.state()
