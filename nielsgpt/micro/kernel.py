"""The three busiest functions of `operations` as plain loops, which numba compiles.

Compiled or not, the loops are the same functions and equal to those of `operations` to the last
few bits. They pay where a document is long: compiling takes more than a second in every process.
"""

import importlib.util
import math
from functools import cache
from typing import Any

import numpy as np

from nielsgpt.micro.arrays import ArrayGPT
from nielsgpt.micro.errors import MicroError, MicroRunError
from nielsgpt.micro.operations import Array, Kernel
from nielsgpt.micro.weights import Shape, sizes


def installed() -> bool:
    """Return True if numba is installed."""
    return importlib.util.find_spec("numba") is not None


@cache
def compiled() -> Kernel:
    """The loops, each compiled when it is first called with a dtype."""
    import numba

    jit: Any = numba.njit
    return Kernel(jit(linear_backward), jit(attend), jit(attend_backward))


def verified() -> str:
    """Check the compiled gradients of a small model against NumPy and return a summary line.

    Raises MicroError if numba is missing, MicroRunError if the gradients differ.
    """
    if not installed():
        raise MicroError("numba is not installed; install it with: pip install 'nielsgpt[micro]'")
    shape, draw = Shape(8, 2, 2, 6, 7), np.random.default_rng(0)
    weights = {name: draw.normal(0.0, 0.3, size).tolist() for name, size in sizes(shape).items()}
    gradients = []
    for kernel in (Kernel(), compiled()):
        model = ArrayGPT(shape, weights, kernel=kernel)
        model.forward([6, 0, 1, 2, 3, 4, 5])
        model.backward()
        gradients.append(model.flat.grad)
    expected, found = gradients
    if not np.allclose(found, expected, rtol=1e-9, atol=1e-12):
        raise MicroRunError("numba's gradients are not NumPy's; leave it out: pip uninstall numba")
    return f"numba JIT active ({', '.join(Kernel._fields)} compiled)"


def linear_backward(dy: Array, matrix: Array, x: Array, dmatrix: Array) -> Array:
    """Return dx; add the gradient of the matrix to dmatrix."""
    dx = np.zeros_like(x)
    for i in range(len(dy)):
        for j in range(len(x)):
            dmatrix[i, j] += dy[i] * x[j]
            dx[j] += dy[i] * matrix[i, j]
    return dx


def attend(query: Array, keys: Array, values: Array) -> tuple[Array, Array]:
    """Return each head's output, (H, D), and its attention weights over positions, (H, S)."""
    heads, seen, width = keys.shape
    gathered, weights = np.zeros_like(query), np.empty((heads, seen), query.dtype)
    for head in range(heads):
        top = query.dtype.type(-np.inf)
        for at in range(seen):
            score = query.dtype.type(0.0)
            for d in range(width):
                score += query[head, d] * keys[head, at, d]
            weights[head, at] = score / math.sqrt(width)
            top = max(top, weights[head, at])
        total = 0.0
        for at in range(seen):
            weights[head, at] = math.exp(weights[head, at] - top)
            total += weights[head, at]
        for at in range(seen):
            weights[head, at] /= total
            for d in range(width):
                gathered[head, d] += weights[head, at] * values[head, at, d]
    return gathered, weights


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
    heads, seen, width = keys.shape
    dquery, dweights = np.zeros_like(query), np.empty(seen, query.dtype)
    for head in range(heads):
        mean = 0.0
        for at in range(seen):
            dweights[at] = 0.0
            for d in range(width):
                dweights[at] += values[head, at, d] * dgathered[head, d]
                dvalues[head, at, d] += weights[head, at] * dgathered[head, d]
            mean += weights[head, at] * dweights[at]
        for at in range(seen):
            dscore = weights[head, at] * (dweights[at] - mean) / math.sqrt(width)
            for d in range(width):
                dquery[head, d] += dscore * keys[head, at, d]
                dkeys[head, at, d] += dscore * query[head, d]
    return dquery
