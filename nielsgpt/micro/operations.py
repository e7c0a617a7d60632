"""The arithmetic of one position in NumPy, each function with its backward twin, as formulas.

The `_backward` twin of y = f(x) takes dy and returns dx, where dy stands for d loss / d y, the
slope of the loss along each number of y. Legend: C width, H heads, D = C / H, S positions seen so
far, V vocabulary.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nielsgpt.micro.weights import NORM_EPS

Array = NDArray[Any]


def linear_backward(dy: Array, matrix: Array, x: Array, dmatrix: Array) -> Array:
    """Backward pass of y = matrix @ x; adds the gradient of the matrix to `dmatrix`.

    y[i] = sum over j of matrix[i, j] x[j], so matrix[i, j] moves the loss by dy[i] x[j], and x[j]
    by the sum over i of dy[i] matrix[i, j].
    """
    dmatrix += dy[:, None] * x
    dx: Array = dy @ matrix
    return dx


def rms_norm(x: Array) -> tuple[Array, Any]:
    """x scaled to a root mean square of 1, and the scale."""
    scale = (x @ x / len(x) + NORM_EPS) ** -0.5
    return x * scale, scale


def rms_norm_backward(dy: Array, y: Array, scale: Any) -> Array:
    """The twin of y = x * scale, where the scale falls as x grows: what points along y is lost."""
    dx: Array = scale * (dy - y * (dy @ y / len(y)))
    return dx


def softmax(scores: Array) -> Array:
    """Positive numbers that add up to 1 along the last axis, in the ratios e to the scores."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def softmax_backward(dy: Array, y: Array) -> Array:
    """The twin: a score gains where its share's gradient is above the mean over all shares."""
    dx: Array = y * (dy - (dy * y).sum(axis=-1, keepdims=True))
    return dx


def cross_entropy(logits: Array, target: int) -> tuple[float, Array]:
    """-log softmax(logits)[target], and its gradient along the logits: softmax, less 1 at it."""
    top = logits.max()
    dlogits = np.exp(logits - top)
    power_sum = dlogits.sum()
    dlogits /= power_sum
    dlogits[target] -= 1.0
    return float(np.log(power_sum) + top - logits[target]), dlogits


def attend(query: Array, keys: Array, values: Array) -> tuple[Array, Array]:
    """Return each head's output, (H, D), and its attention weights over positions, (H, S).

    The query is (H, D), keys and values are (H, S, D).
    """
    scores = (keys @ query[:, :, None])[:, :, 0]  # (H, S)
    weights = softmax(scores * query.shape[1] ** -0.5)
    return (weights[:, None] @ values)[:, 0], weights


def attend_backward(
    dgathered: Array,
    query: Array,
    keys: Array,
    values: Array,
    weights: Array,
    dkeys: Array,
    dvalues: Array,
) -> Array:
    """Return the query's gradient; add those of keys and values to dkeys and dvalues."""
    dvalues += weights[:, :, None] * dgathered[:, None]  # (H, S, D)
    dweights = (values @ dgathered[:, :, None])[:, :, 0]  # (H, S)
    dscores = softmax_backward(dweights, weights) * query.shape[1] ** -0.5
    dkeys += dscores[:, :, None] * query[:, None]
    dquery: Array = (dscores[:, None] @ keys)[:, 0]
    return dquery


class Kernel(NamedTuple):
    """The three slowest functions; `kernel` compiles them."""

    linear_backward: Callable[[Array, Array, Array, Array], Array] = linear_backward
    attend: Callable[[Array, Array, Array], tuple[Array, Array]] = attend
    attend_backward: Callable[[Array, Array, Array, Array, Array, Array, Array], Array] = (
        attend_backward
    )


def cut(flat: Array, table: dict[str, tuple[int, ...]]) -> dict[str, Array]:
    """Views of a flat array, one behind the other, with these names and shapes."""
    views, start = {}, 0
    for name, shape in table.items():
        end = start + math.prod(shape)
        views[name] = flat[start:end].reshape(shape)
        start = end
    return views
