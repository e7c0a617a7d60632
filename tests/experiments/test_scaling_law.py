"""The scaling law, on losses that follow a known law."""

import itertools
import math

import numpy as np
import pytest

from nielsgpt.experiments import scaling_law
from nielsgpt.experiments.scaling_law import ScalingLaw, TrainingPoint

CORPUS = 4e7


def true_loss(
    run: TrainingPoint, a: float = 0.34, b: float = 0.37, critical: float = 4096.0
) -> float:
    waste = 1 + run.batch_tokens / (critical * (run.tokens / 1e6) ** scaling_law.GROWTH)
    data = run.effective_tokens / waste
    return float(0.9 + 40 / run.params**a + 100 / data**b)


def point(params: float, tokens: float, batch: float, corpus: float = CORPUS) -> TrainingPoint:
    return TrainingPoint(params, tokens, batch, scaling_law.discount_repeats(tokens, corpus))


def pilots() -> list[TrainingPoint]:
    """Three sizes and three batches, each for a short and a longer time on one machine."""
    chosen = [(1e6, 4096.0), (3e6, 4096.0), (9e6, 4096.0), (3e6, 1024.0), (3e6, 16384.0)]
    return [
        point(n, seconds * speed(n, batch), batch)
        for n, batch in chosen
        for seconds in (20.0, 60.0)
    ]


def speed(params: float, batch: float) -> float:
    """Tokens per second: larger models and smaller batches are slower."""
    return 3e10 / params / (1 + 500 / batch)


def list_choices(seconds: float) -> list[TrainingPoint]:
    sizes, batches = (1e6, 3e6, 9e6), (1024.0, 4096.0, 16384.0)
    return [
        point(n, seconds * speed(n, batch), batch) for n, batch in itertools.product(sizes, batches)
    ]


def add_noise(runs: list[TrainingPoint], seed: int, share: float = 0.003) -> list[float]:
    generator = np.random.default_rng(seed)
    return [true_loss(one) * (1 + share * generator.standard_normal()) for one in runs]


@pytest.mark.parametrize("seconds", [200.0, 1000.0, 6000.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_choice_is_as_good_as_the_best_within_a_hundredth(seconds: float, seed: int) -> None:
    runs = list_choices(seconds)
    truth = [true_loss(run) for run in runs]
    forecast = ScalingLaw(pilots(), add_noise(pilots(), seed)).forecast(runs)
    chosen = truth[int(forecast.median.argmin())]
    assert chosen - min(truth) < 0.01
    assert max(truth) - min(truth) > 0.05


def test_intervals_have_their_coverage() -> None:
    runs, inside = list_choices(600.0), []
    truth = np.array([true_loss(run) for run in runs])
    for seed in range(12):
        low, high = ScalingLaw(pilots(), add_noise(pilots(), seed)).forecast(runs).interval(0.9)
        inside += list((low <= truth) & (truth <= high))
    assert np.mean(inside) >= 0.85


def test_an_interval_is_narrow_at_the_fitted_runs_and_widens_beyond_them() -> None:
    fitted, widths = ScalingLaw(pilots(), add_noise(pilots(), 1)), []
    for runs in (pilots(), list_choices(200.0), list_choices(600.0)):
        forecast = fitted.forecast(runs)
        low, high = forecast.interval(0.9)
        assert ((low <= forecast.median) & (forecast.median <= high)).all()
        widths.append(((high - low) / forecast.median).max())
    assert widths[0] < 0.1
    assert widths == sorted(widths)
    assert widths[-1] < 3.29 * 2**0.5 * scaling_law.DRIFT * math.log(10) + 0.1  # ten times the time


def test_the_fitted_runs_are_predicted_exactly() -> None:
    losses = [true_loss(one) for one in pilots()]
    assert ScalingLaw(pilots(), losses).forecast(pilots()).median == pytest.approx(losses, rel=0.01)


def test_more_tokens_never_hurt_and_are_less_certain_farther_ahead() -> None:
    law = ScalingLaw(pilots(), add_noise(pilots(), 2))
    runs = [point(3e6, tokens, 4096.0, 1e12) for tokens in (1e6, 1e7, 1e8, 1e9)]
    forecast = law.forecast(runs, noisy=False)
    assert (np.diff(forecast.draws, axis=1) <= 1e-9).all()
    low, high = forecast.interval(0.9)
    assert (high - low)[-1] > (high - low)[0]


def test_no_drawn_law_has_a_negative_coefficient() -> None:
    steep = [point(3e6, tokens, 4096.0) for tokens in (1e5, 2e5, 4e5)]
    forecast = ScalingLaw(steep, [3.0, 1.6, 0.9]).forecast(
        [point(3e6, 1e30, 4096.0, 1e40)], noisy=False
    )
    assert (forecast.draws >= 0).all()


def test_two_runs_alone_still_give_a_sane_forecast() -> None:
    runs = [point(3e6, tokens, 4096.0) for tokens in (2e5, 6e5)]
    middle = ScalingLaw(runs, [3.0, 2.6]).forecast([point(3e6, 5e6, 4096.0)]).median[0]
    assert 1.0 < middle < 2.6


def test_the_same_pilots_give_the_same_forecast() -> None:
    once, again = (
        ScalingLaw(pilots(), add_noise(pilots(), 3)).forecast(list_choices(60.0)) for _ in range(2)
    )
    assert (once.draws == again.draws).all()
    assert once.wins(0, 1) == pytest.approx(1 - once.wins(1, 0))


def test_repeated_tokens_are_worth_less_and_less() -> None:
    assert scaling_law.discount_repeats(5.0, 10.0) == 5.0
    assert scaling_law.discount_repeats(40.0, 10.0) == pytest.approx(
        10 + 10 * scaling_law.REPEATS * (1 - math.exp(-3 / scaling_law.REPEATS))
    )
    assert 30.0 < scaling_law.discount_repeats(40.0, 10.0) < 40.0
    assert scaling_law.discount_repeats(1e9, 10.0) < 10.0 * (1 + scaling_law.REPEATS) + 1e-6


def test_there_is_a_forecast_even_if_longer_runs_end_worse() -> None:
    runs = [point(3e6, tokens, 4096.0) for tokens in (1e5, 2e5, 4e5, 8e5)]
    forecast = ScalingLaw(runs, [2.0, 2.2, 2.42, 2.66]).forecast(list_choices(600.0))
    assert np.isfinite(forecast.draws).all()
