"""The same GPT in NumPy, one position after the other, with its backward pass written out by hand.

What a layer computes, its `_backward` twin takes back in the reverse order; each line of one is
answered by a line of the other. dx stands for d loss / d x. Legend: C width, H heads, D = C / H,
S positions seen so far, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np

from nielsgpt.micro.operations import Array, Kernel, cross_entropy, cut, rms_norm, rms_norm_backward
from nielsgpt.micro.weights import Shape, Weights, sizes


@dataclass(slots=True)
class Layer:
    """The activations of one layer at one position, kept for the backward pass."""

    normed: Array  # (C,)
    scale: Any
    query: Array  # (H, D)
    weights: Array  # (H, S)
    gathered: Array  # (C,)
    mlp_normed: Array  # (C,)
    mlp_scale: Any
    relu: Array  # (4C,)


@dataclass(slots=True)
class Position:
    """The activations of the model at one position."""

    token: int
    embedded: Array  # (C,)
    scale: Any
    layers: list[Layer]
    hidden: Array  # (C,)


@dataclass
class Flat:
    """All weights in one array and their gradients in another: one leaf for the optimizer."""

    data: Array
    grad: Array


class ArrayGPT:
    """The model, reading one token after the other; everything in it has the one dtype."""

    def __init__(
        self,
        shape: Shape,
        weights: Weights,
        dtype: str = "float64",
        kernel: Kernel | None = None,
    ) -> None:
        self.shape, self.kernel = shape, kernel or Kernel()
        data = np.concatenate([np.ravel(weights[name]) for name in sizes(shape)]).astype(dtype)
        self.flat = Flat(data, np.zeros_like(data))
        self.matrices = cut(self.flat.data, dict(sizes(shape)))
        self.dmatrices = cut(self.flat.grad, dict(sizes(shape)))
        room = (shape.n_layer, shape.n_head, shape.block_size, shape.head_width)
        self.keys, self.values = np.zeros(room, dtype), np.zeros(room, dtype)
        self.dkeys, self.dvalues = np.zeros(room, dtype), np.zeros(room, dtype)
        self.restart()

    def restart(self) -> None:
        """Forget what was read."""
        self.positions: list[Position] = []

    def read(self, token: int) -> list[float]:
        """Read one more token, at most block_size of them; the logits of the one after it."""
        logits: list[float] = self.logits(token).tolist()
        return logits

    def logits(self, token: int) -> Array:
        """The same as an array, (V,)."""
        matrices = self.matrices
        embedded, scale = rms_norm(matrices["wte"][token] + matrices["wpe"][len(self.positions)])
        position = Position(token, embedded, scale, [], embedded)
        for layer in range(self.shape.n_layer):
            position.hidden = self.layer(layer, position)
        self.positions.append(position)
        logits: Array = matrices["lm_head"] @ position.hidden
        return logits

    def layer(self, number: int, position: Position) -> Array:
        """x + attention(norm(x)), then x + mlp(norm(x)): (C,) -> (C,)."""
        wq, wk, wv, wo, fc1, fc2 = self.of_layer(self.matrices, number)
        at, heads, x = len(self.positions), (self.shape.n_head, -1), position.hidden
        normed, scale = rms_norm(x)
        query = (wq @ normed).reshape(heads)  # (H, D)
        self.keys[number, :, at] = (wk @ normed).reshape(heads)
        self.values[number, :, at] = (wv @ normed).reshape(heads)
        keys, values = self.keys[number, :, : at + 1], self.values[number, :, : at + 1]
        gathered, weights = self.kernel.attend(query, keys, values)
        gathered = gathered.reshape(-1)  # (C,)
        x = x + wo @ gathered
        mlp_normed, mlp_scale = rms_norm(x)
        relu = np.maximum(fc1 @ mlp_normed, 0)  # (4C,)
        position.layers.append(
            Layer(normed, scale, query, weights, gathered, mlp_normed, mlp_scale, relu)
        )
        y: Array = x + fc2 @ (relu * relu)
        return y

    def layer_backward(self, number: int, at: int, dx: Array) -> Array:
        """The twin at position `at`, after all later positions, which looked at its key and value,
        have had their turn."""
        wq, wk, wv, wo, fc1, fc2 = self.of_layer(self.matrices, number)
        dwq, dwk, dwv, dwo, dfc1, dfc2 = self.of_layer(self.dmatrices, number)
        seen, heads = self.positions[at].layers[number], (self.shape.n_head, -1)
        linear_backward = self.kernel.linear_backward
        drelu = linear_backward(dx, fc2, seen.relu * seen.relu, dfc2)
        dnormed = linear_backward(drelu * (2.0 * seen.relu), fc1, seen.mlp_normed, dfc1)
        dx = dx + rms_norm_backward(dnormed, seen.mlp_normed, seen.mlp_scale)
        dgathered = linear_backward(dx, wo, seen.gathered, dwo)
        dquery = self.kernel.attend_backward(
            dgathered.reshape(heads),
            seen.query,
            self.keys[number, :, : at + 1],
            self.values[number, :, : at + 1],
            seen.weights,
            self.dkeys[number, :, : at + 1],
            self.dvalues[number, :, : at + 1],
        )
        dkey, dvalue = self.dkeys[number, :, at].ravel(), self.dvalues[number, :, at].ravel()
        dnormed = linear_backward(dquery.reshape(-1), wq, seen.normed, dwq)
        dnormed += linear_backward(dkey, wk, seen.normed, dwk)
        dnormed += linear_backward(dvalue, wv, seen.normed, dwv)
        dx += rms_norm_backward(dnormed, seen.normed, seen.scale)
        return dx

    def of_layer(self, matrices: dict[str, Array], number: int) -> list[Array]:
        """wq, wk, wv, wo, fc1 and fc2 of one layer."""
        names = ("attn_wq", "attn_wk", "attn_wv", "attn_wo", "mlp_fc1", "mlp_fc2")
        return [matrices[f"layer{number}.{name}"] for name in names]

    @np.errstate(over="ignore", invalid="ignore")
    def forward(self, ids: Sequence[int]) -> float:
        """The mean loss, in nats, of foretelling ids[1:] from what stands before each."""
        self.restart()
        pairs = list(islice(pairwise(ids), self.shape.block_size))
        ends = [cross_entropy(self.logits(token), target) for token, target in pairs]
        self.dlogits = [dlogits for _, dlogits in ends]
        return sum(loss for loss, _ in ends) / len(ends)

    @np.errstate(over="ignore", invalid="ignore")
    def backward(self, share: float = 1.0) -> None:
        """Add share times the gradient of the last `forward` to that of every weight."""
        self.dkeys.fill(0.0)
        self.dvalues.fill(0.0)
        for at in reversed(range(len(self.positions))):
            position = self.positions[at]
            dlogits = self.dlogits[at] * (share / len(self.positions))
            head, dhead = self.matrices["lm_head"], self.dmatrices["lm_head"]
            dx = self.kernel.linear_backward(dlogits, head, position.hidden, dhead)
            for number in reversed(range(self.shape.n_layer)):
                dx = self.layer_backward(number, at, dx)
            dx = rms_norm_backward(dx, position.embedded, position.scale)
            self.dmatrices["wte"][position.token] += dx
            self.dmatrices["wpe"][at] += dx

    def leaves(self) -> list[Flat]:
        """All weights, as one leaf."""
        return [self.flat]

    def weights(self) -> Weights:
        """The weights as plain numbers."""
        return {name: matrix.tolist() for name, matrix in self.matrices.items()}

    def gradients(self) -> Weights:
        """The gradients that have gathered since the last update, as plain numbers."""
        return {name: matrix.tolist() for name, matrix in self.dmatrices.items()}
