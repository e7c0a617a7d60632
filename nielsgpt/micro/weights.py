"""Which matrices the GPT has, and the numbers they start with: the same ones for every backend.

wte (V, C)       a row for each token           attn_wq, attn_wk, attn_wv, attn_wo (C, C)
wpe (T, C)       a row for each position        mlp_fc1 (4C, C)
lm_head (V, C)   hidden state to logits         mlp_fc2 (C, 4C)

A matrix maps a vector by `matrix @ x`: a row for each output. Legend: V vocabulary, T positions,
C width, H heads, D = C / H width of a head.
"""

import random
from dataclasses import dataclass

Weights = dict[str, list[list[float]]]
NORM_EPS = 1e-5
DEVIATION = 0.02
# What writes into the residual stream starts at zero: an untrained layer changes nothing.
START_AT_ZERO = ("attn_wo", "mlp_fc2")


@dataclass(frozen=True)
class Shape:
    """The size of a model."""

    n_embd: int
    n_head: int
    n_layer: int
    block_size: int
    vocab_size: int

    @property
    def head_width(self) -> int:
        """D, the numbers of the hidden state that one head sees."""
        return self.n_embd // self.n_head


def sizes(shape: Shape) -> dict[str, tuple[int, int]]:
    """Rows and columns of every matrix by name, in the order in which they are drawn and stored."""
    width = shape.n_embd
    found = {
        "wte": (shape.vocab_size, width),
        "wpe": (shape.block_size, width),
        "lm_head": (shape.vocab_size, width),
    }
    for layer in range(shape.n_layer):
        found |= {f"layer{layer}.attn_{name}": (width, width) for name in ("wq", "wk", "wv", "wo")}
        found[f"layer{layer}.mlp_fc1"] = (4 * width, width)
        found[f"layer{layer}.mlp_fc2"] = (width, 4 * width)
    return found


def initial(shape: Shape, seed: int) -> Weights:
    """Fresh weights: N(0, 0.02), and zeros for the two matrices that end a branch."""
    draw = random.Random(seed).gauss
    weights: Weights = {}
    for name, (rows, columns) in sizes(shape).items():
        if name.endswith(START_AT_ZERO):
            weights[name] = [[0.0] * columns for _ in range(rows)]
        else:
            weights[name] = [[draw(0.0, DEVIATION) for _ in range(columns)] for _ in range(rows)]
    return weights


def parameter_count(shape: Shape) -> int:
    """The number of trained numbers."""
    return sum(rows * columns for rows, columns in sizes(shape).values())
