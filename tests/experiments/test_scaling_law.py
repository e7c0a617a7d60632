"""The law of the loss, on losses whose law is known."""

import itertools
import math

import numpy as np
import pytest

from nielsgpt.experiments import scaling_law
from nielsgpt.experiments.scaling_law import ScalingLaw, TrainingPoint

CORPUS = 4e7


def law(run: TrainingPoint, a: float = 0.34, b: float = 0.37, critical: float = 4096.0) -> float:
    waste = 1 + run.batch_tokens / (critical * (run.tokens / 1e6) ** scaling_law.GROWTH)
    data = run.worth / waste
    return float(0.9 + 40 / run.params**a + 100 / data**b)


def place(params: float, tokens: float, batch: float, corpus: float = CORPUS) -> TrainingPoint:
    return TrainingPoint(params, tokens, batch, scaling_law.unique(tokens, corpus))


def pilots() -> list[TrainingPoint]:
    """Three sizes and three batches, each for a short and a longer time on one machine."""
    chosen = [(1e6, 4096.0), (3e6, 4096.0), (9e6, 4096.0), (3e6, 1024.0), (3e6, 16384.0)]
    return [
        place(n, seconds * speed(n, batch), batch)
        for n, batch in chosen
        for seconds in (20.0, 60.0)
    ]


def speed(params: float, batch: float) -> float:
    """Tokens a second: larger models and smaller batches are slower."""
    return 3e10 / params / (1 + 500 / batch)


def choices(seconds: float) -> list[TrainingPoint]:
    sizes, batches = (1e6, 3e6, 9e6), (1024.0, 4096.0, 16384.0)
    return [
        place(n, seconds * speed(n, batch), batch) for n, batch in itertools.product(sizes, batches)
    ]


def noisy(places: list[TrainingPoint], seed: int, share: float = 0.003) -> list[float]:
    draw = np.random.default_rng(seed)
    return [law(one) * (1 + share * draw.standard_normal()) for one in places]


@pytest.mark.parametrize("seconds", [200.0, 1000.0, 6000.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_choice_is_as_good_as_the_best_within_a_hundredth(seconds: float, seed: int) -> None:
    runs = choices(seconds)
    truth = [law(run) for run in runs]
    found = ScalingLaw(pilots(), noisy(pilots(), seed)).forecast(runs)
    chosen = truth[int(found.middle.argmin())]
    assert chosen - min(truth) < 0.01
    assert max(truth) - min(truth) > 0.05


def test_intervals_hold_what_they_promise() -> None:
    runs, inside = choices(600.0), []
    truth = np.array([law(run) for run in runs])
    for seed in range(12):
        low, high = ScalingLaw(pilots(), noisy(pilots(), seed)).forecast(runs).interval(0.9)
        inside += list((low <= truth) & (truth <= high))
    assert np.mean(inside) >= 0.85


def test_an_interval_is_narrow_where_it_was_measured_and_widens_on_the_way_from_there() -> None:
    fitted, widths = ScalingLaw(pilots(), noisy(pilots(), 1)), []
    for places in (pilots(), choices(200.0), choices(600.0)):
        found = fitted.forecast(places)
        low, high = found.interval(0.9)
        assert ((low <= found.middle) & (found.middle <= high)).all()
        widths.append(((high - low) / found.middle).max())
    assert widths[0] < 0.1
    assert widths == sorted(widths)
    assert widths[-1] < 3.29 * 2**0.5 * scaling_law.DRIFT * math.log(10) + 0.1  # ten times the time


def test_what_was_measured_is_predicted_where_it_was_measured() -> None:
    losses = [law(one) for one in pilots()]
    assert ScalingLaw(pilots(), losses).forecast(pilots()).middle == pytest.approx(losses, rel=0.01)


def test_more_tokens_are_never_predicted_to_hurt_and_far_ahead_is_less_sure() -> None:
    found = ScalingLaw(pilots(), noisy(pilots(), 2))
    runs = [place(3e6, tokens, 4096.0, 1e12) for tokens in (1e6, 1e7, 1e8, 1e9)]
    forecast = found.forecast(runs, noisy=False)
    assert (np.diff(forecast.draws, axis=1) <= 1e-9).all()
    low, high = forecast.interval(0.9)
    assert (high - low)[-1] > (high - low)[0]


def test_no_law_that_is_drawn_has_a_negative_part() -> None:
    steep = [place(3e6, tokens, 4096.0) for tokens in (1e5, 2e5, 4e5)]
    found = ScalingLaw(steep, [3.0, 1.6, 0.9]).forecast(
        [place(3e6, 1e30, 4096.0, 1e40)], noisy=False
    )
    assert (found.draws >= 0).all()


def test_two_runs_alone_still_give_a_sane_forecast() -> None:
    places = [place(3e6, tokens, 4096.0) for tokens in (2e5, 6e5)]
    middle = ScalingLaw(places, [3.0, 2.6]).forecast([place(3e6, 5e6, 4096.0)]).middle[0]
    assert 1.0 < middle < 2.6


def test_the_same_pilots_give_the_same_forecast() -> None:
    once, again = (
        ScalingLaw(pilots(), noisy(pilots(), 3)).forecast(choices(60.0)) for _ in range(2)
    )
    assert (once.draws == again.draws).all()
    assert once.wins(0, 1) == pytest.approx(1 - once.wins(1, 0))


def test_repeated_tokens_are_worth_less_and_less() -> None:
    assert scaling_law.unique(5.0, 10.0) == 5.0
    assert scaling_law.unique(40.0, 10.0) == pytest.approx(
        10 + 10 * scaling_law.REPEATS * (1 - math.exp(-3 / scaling_law.REPEATS))
    )
    assert 30.0 < scaling_law.unique(40.0, 10.0) < 40.0
    assert scaling_law.unique(1e9, 10.0) < 10.0 * (1 + scaling_law.REPEATS) + 1e-6


def test_where_longer_runs_end_worse_there_is_a_forecast_still() -> None:
    places = [place(3e6, tokens, 4096.0) for tokens in (1e5, 2e5, 4e5, 8e5)]
    found = ScalingLaw(places, [2.0, 2.2, 2.42, 2.66]).forecast(choices(600.0))
    assert np.isfinite(found.draws).all()
