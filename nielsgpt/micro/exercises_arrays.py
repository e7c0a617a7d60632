"""The exercises of page 2: four backward passes, judged by nudging each number either way.

The functions below are forward passes on lists of lists. Their slopes are found without any
calculus: move one number by a hair up and down, and see how much the loss moves.
"""

import math
from collections.abc import Callable
from typing import Any

from nielsgpt.micro.exercise import Case, Exercise
from nielsgpt.micro.weights import NORM_EPS

Rows = list[list[float]]
PAGE = "docs/learn/2-arrays.md"
NUDGE = 1e-6
IMPORTS = "import numpy as np\n"


def slopes(loss: Callable[..., float], arguments: list[Any], which: int) -> Rows:
    """d loss / d each number of arguments[which], by central differences; wrong by about 1e-9."""
    rows = arguments[which]
    found = [[0.0] * len(row) for row in rows]
    for i, row in enumerate(rows):
        for j, number in enumerate(row):
            up, down = number + NUDGE, number - NUDGE
            row[j] = up
            above = loss(*arguments)
            row[j] = down
            found[i][j] = (above - loss(*arguments)) / (up - down)
            row[j] = number
    return found


def weighed(y: Rows, dy: Rows) -> float:
    """The sum of y * dy: a loss whose slope along y is dy."""
    return sum(
        a * b for row, drow in zip(y, dy, strict=True) for a, b in zip(row, drow, strict=True)
    )


def rms_norm(x: Rows) -> Rows:
    """Each row at a root mean square of 1."""
    scales = [(sum(v * v for v in row) / len(row) + NORM_EPS) ** -0.5 for row in x]
    return [[v * scale for v in row] for row, scale in zip(x, scales, strict=True)]


def softmax(row: list[float]) -> list[float]:
    """Shares in the ratios e to the numbers."""
    powers = [math.exp(v - max(row)) for v in row]
    return [power / sum(powers) for power in powers]


def mean_loss(logits: Rows, targets: list[int]) -> float:
    """The mean of -log softmax(row)[target]."""
    losses = [-math.log(softmax(row)[t]) for row, t in zip(logits, targets, strict=True)]
    return sum(losses) / len(losses)


def attention(q: Rows, k: Rows, v: Rows) -> Rows:
    """softmax(q k' / sqrt(D)) v; row t looks at rows 0 to t."""
    gathered = []
    for t, query in enumerate(q):
        scores = [sum(a * b for a, b in zip(query, key, strict=True)) for key in k[: t + 1]]
        shares = softmax([score / math.sqrt(len(query)) for score in scores])
        columns = zip(*v[: t + 1], strict=True)
        gathered.append([sum(a * b for a, b in zip(shares, c, strict=True)) for c in columns])
    return gathered


def embedding_gradient(ids: list[int], dx: Rows, vocab_size: int) -> Rows:
    """The slope of the sum of table[ids] * dx along the table."""
    table = [[0.0] * len(dx[0]) for _ in range(vocab_size)]
    return slopes(lambda t: weighed([t[token] for token in ids], dx), [table], 0)


def wave(rows: int, columns: int, start: float) -> Rows:
    """Numbers between -2 and 2 without any pattern that a wrong answer could share."""
    at = [[start + 1.7 * i + 0.6 * i * j + 2.3 * j for j in range(columns)] for i in range(rows)]
    return [[round(2 * math.sin(number * number), 2) for number in row] for row in at]


def ask_with_arrays(function: Callable[..., Any], *arguments: Any) -> Any:
    """Every list as a NumPy array."""
    import numpy as np

    return function(*(np.array(a) if isinstance(a, list) else a for a in arguments))


def attention_cases() -> list[Case]:
    """One position (where only v matters), two, and more."""
    sizes = ((1, 2), (2, 1), (2, 2), (5, 4))
    return [{name: wave(*size, ord(name[-1])) for name in ("q", "k", "v", "dy")} for size in sizes]


ARRAYS = {
    "ex5": Exercise(
        page=PAGE,
        signature="rms_norm_backward(x: np.ndarray, dy: np.ndarray) -> np.ndarray",
        task=(
            "Return dx, given dy = d loss / dy, where each row of y is its row of x times\n"
            "    (mean of the row's squares + 1e-5) ** -0.5. All three are (T, C)."
        ),
        result="dx",
        cases=lambda: [
            {"x": [[3.0, 4.0]], "dy": [[1.0, 0.0]]},
            {"x": [[1.0, 2.0, 2.0], [0.5, 0.0, -0.1]], "dy": [[1.0, 2.0, 2.0], [0.0, 1.0, 0.0]]},
            {"x": wave(4, 6, 1.0), "dy": wave(4, 6, 2.0)},
            {"x": [[0.001, -0.002]], "dy": [[1.0, 1.0]]},
        ],
        expected=lambda x, dy: slopes(lambda x: weighed(rms_norm(x), dy), [x], 0),
        ask=ask_with_arrays,
        imports=IMPORTS,
    ),
    "ex6": Exercise(
        page=PAGE,
        signature="loss_backward(logits: np.ndarray, targets: np.ndarray) -> np.ndarray",
        task=(
            "Return d loss / d logits, (T, V), where the loss is the mean over the T rows of\n"
            "    -log softmax(row)[target]. targets is (T,), whole numbers below V."
        ),
        result="dlogits",
        cases=lambda: [
            {"logits": [[0.0, 0.0]], "targets": [0]},
            {"logits": [[0.0, 1.0, 2.0], [1.0, 0.0, 0.0]], "targets": [2, 1]},
            {"logits": wave(5, 7, 3.0), "targets": [0, 6, 3, 3, 1]},
            {"logits": [[1000.0, 999.0]], "targets": [1]},
        ],
        expected=lambda logits, targets: slopes(mean_loss, [logits, targets], 0),
        ask=ask_with_arrays,
        imports=IMPORTS,
    ),
    "ex7": Exercise(
        page=PAGE,
        signature=(
            "attention_backward(\n    q: np.ndarray, k: np.ndarray, v: np.ndarray, dy: np.ndarray\n"
            ") -> tuple[np.ndarray, np.ndarray, np.ndarray]"
        ),
        task=(
            "Return dq, dk and dv of one head, y = softmax(q @ k.T / sqrt(D)) @ v, where\n"
            "    position t sees positions 0 to t only. Everything is (T, D)."
        ),
        result="dq, dk, dv",
        cases=attention_cases,
        expected=lambda q, k, v, dy: [
            slopes(lambda *qkv: weighed(attention(*qkv), dy), [q, k, v], which)
            for which in range(3)
        ],
        ask=ask_with_arrays,
        imports=IMPORTS,
    ),
    "ex8": Exercise(
        page=PAGE,
        signature=(
            "embedding_backward(ids: np.ndarray, dx: np.ndarray, vocab_size: int) -> np.ndarray"
        ),
        task=(
            "Return dtable, (vocab_size, C), where x = table[ids] and dx is (T, C).\n\n"
            "    A token may stand in the text more than once."
        ),
        result="dtable",
        cases=lambda: [
            {"ids": [1], "dx": [[1.0, 2.0]], "vocab_size": 3},
            {"ids": [0, 2, 0], "dx": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "vocab_size": 3},
            {"ids": [4, 4, 1, 4], "dx": wave(4, 3, 4.0), "vocab_size": 6},
        ],
        expected=embedding_gradient,
        ask=ask_with_arrays,
        imports=IMPORTS,
    ),
}
