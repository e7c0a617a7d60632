import math
from typing import Any

import pytest

from nielsgpt.micro.adam import DECAYS, Adam
from nielsgpt.micro.scalar import Value
from nielsgpt.micro.scenarios import Training


def numbers(**over: Any) -> Training:
    return Training(**{"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.9, "eps_adam": 1e-3, **over})


@pytest.mark.parametrize("gradient", [5.0, -0.02, 1e-4])
def test_the_first_move_is_the_rate_whatever_the_size_of_the_gradient(gradient: float) -> None:
    weight = Value(1.0)
    weight.grad = gradient
    Adam(10, numbers(eps_adam=1e-12)).update([weight])
    assert weight.data == pytest.approx(1.0 - math.copysign(0.1, gradient))
    assert weight.grad == 0.0


def test_updates_are_those_of_the_paper_with_its_corrections_written_out() -> None:
    weight, adam = Value(1.0), Adam(8, numbers(decay="linear"))
    expected, m, v = 1.0, 0.0, 0.0
    for step, gradient in enumerate([0.3, -2.0, 0.0, 0.05, 1e-3, 4.0], 1):
        m, v = 0.8 * m + 0.2 * gradient, 0.9 * v + 0.1 * gradient**2
        m_hat, v_hat = m / (1 - 0.8**step), v / (1 - 0.9**step)
        expected -= 0.1 * (1 - (step - 1) / 8) * m_hat / (math.sqrt(v_hat) + 1e-3)
        weight.grad = gradient
        adam.update([weight])
        assert weight.data == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("decay", DECAYS)
def test_the_rate_begins_full_and_would_be_zero_after_the_last_update(decay: str) -> None:
    adam = Adam(20, numbers(decay=decay))
    rates = [adam.rate(step) for step in range(21)]
    assert rates[0] == 0.1
    assert rates[10] == pytest.approx(0.05)
    assert rates[20] == pytest.approx(0.0)
    assert rates == sorted(rates, reverse=True)
