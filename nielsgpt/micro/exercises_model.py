"""The exercises of pages 3 and 4: what the real model and its optimizers do, on plain lists."""

import cmath
import math
from collections.abc import Sequence

from nielsgpt.micro.exercise import Case, Exercise
from nielsgpt.micro.exercises_arrays import IMPORTS, Rows, ask_with_arrays, attention, wave

TORCH_PAGE = "docs/learn/3-torch.md"
MODEL_PAGE = "docs/learn/4-model.md"
# torch computes in float32 unless told otherwise.
SINGLE = 1e-4
QUINTIC = (3.4445, -4.7750, 2.0315)


def windowed(q: Rows, k: Rows, v: Rows, window: int) -> Rows:
    """Attention of the last position on the last `window` ones, position by position."""
    ends = [(max(0, t + 1 - window), t + 1) for t in range(len(q))]
    return [attention(q[i:t], k[i:t], v[i:t])[-1] for i, t in ends]


def adam(start: float, gradients: Sequence[float], learning_rate: float) -> float:
    """Where Adam takes one weight, with beta1 0.9, beta2 0.95 and eps 1e-8."""
    weight, mean, square = start, 0.0, 0.0
    for step, gradient in enumerate(gradients, 1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.95 * square + 0.05 * gradient**2
        mean_hat, square_hat = mean / (1 - 0.9**step), square / (1 - 0.95**step)
        weight -= learning_rate * mean_hat / (math.sqrt(square_hat) + 1e-8)
    return weight


def turned(x: Sequence[float], position: int, theta: float) -> list[float]:
    """Number i and number i + D/2 as one complex number, turned by its angle."""
    half = len(x) // 2
    pairs = [
        complex(x[i], x[i + half]) * cmath.exp(1j * position * theta ** (-2 * i / len(x)))
        for i in range(half)
    ]
    return [pair.real for pair in pairs] + [pair.imag for pair in pairs]


def bfloat16(x: float) -> float:
    """x with its mantissa rounded to 8 bits, ties to even, as bfloat16 keeps it."""
    mantissa, exponent = math.frexp(x)
    return math.ldexp(round(mantissa * 256), exponent - 8)


def newton_schulz(x: Rows) -> Rows:
    """Five steps of x <- a x + (b A + c A A) x with A = x x', from x of norm 1."""
    norm = math.sqrt(sum(v * v for row in x for v in row))
    x = [[v / norm for v in row] for row in x]
    a, b, c = QUINTIC
    for _ in range(5):
        gram = product(x, transposed(x))
        once, twice = product(gram, x), product(gram, product(gram, x))
        x = [
            [a * u + b * v + c * w for u, v, w in zip(*rows, strict=True)]
            for rows in zip(x, once, twice, strict=True)
        ]
    return x


def product(a: Rows, b: Rows) -> Rows:
    """a @ b."""
    return [
        [sum(u * v for u, v in zip(row, column, strict=True)) for column in transposed(b)]
        for row in a
    ]


def transposed(x: Rows) -> Rows:
    """The rows as columns."""
    return [list(column) for column in zip(*x, strict=True)]


def window_cases() -> list[Case]:
    """A window of one, where every position sees itself alone; wide ones; one wider than all."""
    sizes = ((2, 2, 1), (3, 2, 2), (6, 4, 3), (4, 3, 9))
    return [
        {name: wave(t, c, ord(name)) for name in "qkv"} | {"window": window}
        for t, c, window in sizes
    ]


MODEL = {
    "ex9": Exercise(
        page=TORCH_PAGE,
        signature=(
            "attention(\n    q: list[list[float]], k: list[list[float]], v: list[list[float]], "
            "window: int\n) -> torch.Tensor"
        ),
        task=(
            "Return what one head of causal attention gathers, (T, D), where each position sees\n"
            "    only the last `window` positions, itself included. q, k and v are (T, D) lists."
        ),
        result="attention",
        cases=window_cases,
        expected=windowed,
        imports="import torch\n",
        tolerance=SINGLE,
    ),
    "ex10": Exercise(
        page=TORCH_PAGE,
        signature="adam(start: float, gradients: list[float], learning_rate: float) -> float",
        task=(
            "Return where Adam has taken a weight after these gradients, one a step.\n\n"
            "    beta1 is 0.9, beta2 0.95, eps 1e-8; the rate stays as it is. By hand, or with\n"
            "    torch.optim.Adam."
        ),
        result="weight",
        cases=lambda: [
            {"start": 1.0, "gradients": [5.0], "learning_rate": 0.1},
            {"start": 1.0, "gradients": [5.0, 5.0, -1.0], "learning_rate": 0.1},
            {"start": -2.0, "gradients": [0.0, 0.5, 0.0, 0.25], "learning_rate": 0.01},
        ],
        expected=adam,
        tolerance=SINGLE,
    ),
    "ex11": Exercise(
        page=MODEL_PAGE,
        signature="rotate(x: list[float], position: int, theta: float) -> list[float]",
        task=(
            "Return x turned by rotary position: number i and number i + D/2 of the D numbers are\n"
            "    a point in the plane, turned by the angle position * theta ** (-2 * i / D)."
        ),
        result="rotated",
        cases=lambda: [
            {"x": [1.0, 2.0], "position": 0, "theta": 10000.0},
            {"x": [1.0, 0.0], "position": 1, "theta": 10000.0},
            {"x": [1.0, 2.0, 3.0, 4.0], "position": 2, "theta": 100.0},
            {"x": [0.5, -1.0, 2.0, 0.0, 1.0, 1.5], "position": 37, "theta": 10000.0},
        ],
        expected=turned,
    ),
    "ex12": Exercise(
        page=MODEL_PAGE,
        signature="bfloat16(x: float) -> float",
        task=(
            "Return x rounded to bfloat16: 8 significant bits in binary, ties to the even one.\n\n"
            "    x is finite and neither so large nor so small that the exponent would matter."
        ),
        result="bfloat16",
        cases=lambda: [
            {"x": number}
            for number in (1.0, 0.0, 3.140625, 1.00390625, 1.01171875, -0.1, 257.0, 1e-3, 123456.0)
        ],
        expected=bfloat16,
    ),
    "ex13": Exercise(
        page=MODEL_PAGE,
        signature="orthogonal(x: np.ndarray) -> np.ndarray",
        task=(
            "Return what five Newton-Schulz steps make of x, (rows, columns), rows <= columns.\n\n"
            "    First divide x by the root of the sum of its squares. Then, five times,\n"
            "    x <- a x + (b A + c A A) x with A = x x', a, b, c = 3.4445, -4.7750, 2.0315."
        ),
        result="orthogonal",
        cases=lambda: [
            {"x": [[2.0, 0.0], [0.0, 0.1]]},
            {"x": [[1.0, 2.0, 3.0], [3.0, 2.0, 0.0]]},
            {"x": wave(4, 6, 5.0)},
        ],
        expected=newton_schulz,
        ask=ask_with_arrays,
        imports=IMPORTS,
    ),
}
