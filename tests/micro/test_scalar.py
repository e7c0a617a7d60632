import gc
import math
import operator
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nielsgpt.micro import scalar
from nielsgpt.micro.scalar import Value, dot, no_garbage_collection, rms_norm, softmax, total

OPERATIONS: dict[str, Callable[[Value, Value], Value]] = {
    "sum": operator.add,
    "product": operator.mul,
    "difference": operator.sub,
    "quotient": operator.truediv,
    "sum with a number": lambda a, b: 2.0 + a + 3.0 + b,
    "product with a number": lambda a, b: 2.0 * a * 3.0 * b,
    "difference from a number": lambda a, b: (2.0 - a) * (b - 3.0),
    "quotient with a number": lambda a, b: 2.0 / a + b / 3.0,
    "power": lambda a, b: a**3 * b**-0.5,
    "exponential": lambda a, b: (a * b).exp(),
    "logarithm": lambda a, b: (a + b).log(),
    "open ReLU": lambda a, b: (a * b).relu() * a,
    "closed ReLU": lambda a, b: (-a).relu() + b,
    "used twice": lambda a, b: a * a + a * b + a,
    "dot": lambda a, b: dot([a, b, a], [b, b, a]),
    "total": lambda a, b: total([a, b, a]),
    "norm": lambda a, b: rms_norm([a, b])[0],
    "softmax": lambda a, b: softmax([a, b, a * b])[1],
    "loss": lambda a, b: scalar.cross_entropy([a, b, a * b], 2),
}


@pytest.mark.parametrize("name", OPERATIONS)
@given(st.floats(0.3, 3.0), st.floats(0.3, 3.0))
def test_the_gradient_is_the_slope_that_a_small_push_measures(
    name: str, x: float, y: float
) -> None:
    made, push = OPERATIONS[name], 1e-6
    a, b = Value(x), Value(y)
    made(a, b).backward()

    def slope(dx: float, dy: float) -> float:
        ahead, behind = (made(Value(x + s * dx), Value(y + s * dy)).data for s in (1.0, -1.0))
        return (ahead - behind) / (2 * push)

    assert a.grad == pytest.approx(slope(push, 0.0), rel=1e-5, abs=1e-7)
    assert b.grad == pytest.approx(slope(0.0, push), rel=1e-5, abs=1e-7)


def test_the_chain_rule_of_the_docstring_holds() -> None:
    a, b = Value(3.0), Value(4.0)
    c = a * b + a**2
    c.backward()
    assert (c.data, a.grad, b.grad) == (21.0, 10.0, 3.0)


def test_gradients_of_leaves_add_up_and_a_share_scales_them() -> None:
    a = Value(3.0)
    for share in (1.0, 0.5):
        (a * a).backward(share)
    assert a.grad == 9.0


def test_a_graph_may_be_walked_twice() -> None:
    a = Value(3.0)
    c = (a * a).exp().log()
    c.backward()
    c.backward()
    assert a.grad == pytest.approx(12.0)


def test_a_chain_deeper_than_python_may_recurse_has_a_gradient() -> None:
    leaf = Value(1.0)
    value = leaf
    for _ in range(50_000):
        value = value + leaf
    value.backward()
    assert leaf.grad == 50_001.0


@given(st.lists(st.floats(-600, 600), min_size=1, max_size=6), st.floats(-1e4, 1e4))
def test_softmax_sums_to_one_and_forgets_a_common_shift(logits: list[float], by: float) -> None:
    shares = [share.data for share in softmax([Value(logit) for logit in logits])]
    shifted = [share.data for share in softmax([Value(logit + by) for logit in logits])]
    assert math.fsum(shares) == pytest.approx(1.0)
    assert shifted == pytest.approx(shares, rel=1e-9, abs=1e-12)


def test_a_loss_larger_than_any_power_of_e_stays_a_number() -> None:
    logits = [Value(5000.0), Value(0.0)]
    loss = scalar.cross_entropy(logits, 1)
    loss.backward()
    assert (loss.data, logits[0].grad, logits[1].grad) == (5000.0, 1.0, -1.0)


class Slope(float):
    """A slope that notes whether the collector was on when it was used."""

    seen: bool | None = None

    def __mul__(self, other: float) -> float:
        Slope.seen = gc.isenabled()
        if self < 0:
            raise ArithmeticError("a slope that cannot be used")
        return float(self) * other


@pytest.mark.parametrize("slope", [2.0, -2.0])
@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_rests_in_backward_and_is_as_before_even_after_an_error(
    slope: float, was_on: bool
) -> None:
    value = Value(1.0, (Value(1.0),), (Slope(slope),))
    if not was_on:
        gc.disable()
    try:
        if slope < 0:
            with pytest.raises(ArithmeticError):
                value.backward()
        else:
            value.backward()
        assert gc.isenabled() is was_on
        assert Slope.seen is False
    finally:
        gc.enable()
    with no_garbage_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
