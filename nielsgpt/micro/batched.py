"""The same GPT in NumPy, all positions of a document at once, in buffers that are made once.

Where `arrays` multiplies a matrix by a vector for each position, here one product of two matrices
serves them all, and a mask keeps positions from looking ahead. No call makes a new array: in a
model this small, asking for memory takes longer than the mathematics. Functions write into their
last arguments, or change an array in place; a `_backward` twin turns dy into dx where dy lies.
Legend: n positions, C width, H heads, D = C / H, V vocabulary.
"""

import math
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from nielsgpt.micro.arrays import ArrayGPT
from nielsgpt.micro.operations import Array, cut
from nielsgpt.micro.weights import NORM_EPS, Shape, Weights, sizes

Table = dict[str, tuple[int, ...]]


def rms_norm(x: Array, y: Array, scale: Array) -> None:
    """y = x * scale, each row with a root mean square of 1; the scale is (n, 1)."""
    np.vecdot(x, x, out=scale[:, 0])
    scale /= x.shape[1]
    scale += NORM_EPS
    np.power(scale, -0.5, out=scale)
    np.multiply(x, scale, out=y)


def rms_norm_backward(dy: Array, y: Array, scale: Array, rows: Array, work: Array) -> None:
    """The twin, for each row as in `arrays`."""
    np.vecdot(dy, y, out=rows[:, 0])
    rows /= y.shape[1]
    np.multiply(y, rows, out=work)
    dy -= work
    dy *= scale


def lower(x: Array, rows: Array) -> None:
    """x minus its largest along the last axis, after which no power of e can overflow."""
    np.maximum.reduce(x, axis=-1, keepdims=True, out=rows)
    x -= rows


def softmax(x: Array, rows: Array) -> None:
    """x, lowered, becomes its softmax along the last axis, and `rows` the sums of its powers."""
    np.exp(x, out=x)
    np.add.reduce(x, axis=-1, keepdims=True, out=rows)
    x /= rows


def softmax_backward(dy: Array, y: Array, rows: Array) -> None:
    """The twin."""
    np.vecdot(dy, y, out=rows[..., 0])
    dy -= rows
    dy *= y


class BatchedGPT(ArrayGPT):
    """The model, reading whole documents; for sampling it reads token by token, as its parent."""

    def __init__(self, shape: Shape, weights: Weights, dtype: str = "float64") -> None:
        super().__init__(shape, weights, dtype)
        self.fused = cut(self.flat.data, fused_sizes(shape))
        # Gradients of one document: written, not added to, so that products can write in place.
        self.gradient = np.zeros_like(self.flat.data)
        self.dfused = cut(self.gradient, fused_sizes(shape))
        n = shape.block_size
        self.mask = np.triu(np.full((n, n), -np.inf, dtype), k=1)
        self.arena = np.zeros(sum(map(math.prod, buffer_sizes(shape, n).values())), dtype)
        self.buffers_of: dict[int, Buffers] = {}

    @np.errstate(over="ignore", invalid="ignore")
    def forward(self, ids: Sequence[int]) -> float:
        """The mean loss, in nats, of foretelling ids[1:] from what stands before each."""
        n = min(self.shape.block_size, len(ids) - 1)
        if n not in self.buffers_of:
            self.buffers_of[n] = Buffers(self.shape, n, self.arena)
        b = self.buffers = self.buffers_of[n]
        self.inputs, self.outputs = np.array(ids[:n]), np.array(ids[1 : n + 1])
        # Without "clip", which no id needs, NumPy would write by way of a copy.
        np.take(self.fused["wte"], self.inputs, axis=0, out=b.work, mode="clip")
        b.work += self.fused["wpe"][:n]
        rms_norm(b.work, b.embedded, b.scale)
        x = b.embedded
        for number, layer in enumerate(b.layers):
            x = self.whole_layer(number, layer, x)
        np.dot(x, self.fused["lm_head"].T, out=b.dlogits)  # (n, V)
        lower(b.dlogits, b.rows)
        target_logits = b.dlogits[b.range, self.outputs].sum()
        softmax(b.dlogits, b.rows)
        b.dlogits[b.range, self.outputs] -= 1.0  # n times d loss / d logits
        return float(np.log(b.rows).sum() - target_logits) / n

    def whole_layer(self, number: int, layer: SimpleNamespace, x: Array) -> Array:
        """x + attention(norm(x)), then x + mlp(norm(x)): (n, C) -> (n, C)."""
        b, of = self.buffers, f"layer{number}."
        rms_norm(x, layer.normed, layer.scale)
        np.dot(layer.normed, self.fused[of + "attn_wqkv"].T, out=layer.qkv)
        np.matmul(layer.query, layer.key.mT, out=layer.weights)  # (H, n, n)
        layer.weights *= self.shape.head_width**-0.5
        layer.weights += self.mask[: len(x), : len(x)]
        lower(layer.weights, b.head_rows)
        softmax(layer.weights, b.head_rows)
        np.matmul(layer.weights, layer.value, out=layer.gathered_heads)
        np.dot(layer.gathered, self.fused[of + "attn_wo"].T, out=layer.x)
        layer.x += x
        rms_norm(layer.x, layer.mlp_normed, layer.mlp_scale)
        np.dot(layer.mlp_normed, self.fused[of + "mlp_fc1"].T, out=layer.relu)
        np.maximum(layer.relu, 0, out=layer.relu)
        np.multiply(layer.relu, layer.relu, out=layer.squared)
        np.dot(layer.squared, self.fused[of + "mlp_fc2"].T, out=b.work)
        layer.x += b.work
        x_out: Array = layer.x
        return x_out

    @np.errstate(over="ignore", invalid="ignore")
    def backward(self, share: float = 1.0) -> None:
        """Add share times the gradient of the last `forward` to that of every weight."""
        b, n = self.buffers, len(self.inputs)
        np.dot(b.dlogits.T, b.layers[-1].x, out=self.dfused["lm_head"])
        np.dot(b.dlogits, self.fused["lm_head"], out=b.dx)
        for number in reversed(range(len(b.layers))):
            self.whole_layer_backward(number, b.layers[number])
        rms_norm_backward(b.dx, b.embedded, b.scale, b.rows, b.work)
        self.dfused["wte"].fill(0.0)
        np.add.at(self.dfused["wte"], self.inputs, b.dx)
        self.dfused["wpe"][:n] = b.dx
        self.dfused["wpe"][n:] = 0.0
        self.gradient *= share / n
        self.flat.grad += self.gradient

    def whole_layer_backward(self, number: int, layer: SimpleNamespace) -> None:
        """The twin: b.dx, the gradient along what the layer returned, becomes that along its x."""
        b, of = self.buffers, f"layer{number}."
        np.dot(b.dx.T, layer.squared, out=self.dfused[of + "mlp_fc2"])
        np.dot(b.dx, self.fused[of + "mlp_fc2"], out=b.drelu)
        b.drelu *= layer.relu
        b.drelu *= 2.0
        np.dot(b.drelu.T, layer.mlp_normed, out=self.dfused[of + "mlp_fc1"])
        np.dot(b.drelu, self.fused[of + "mlp_fc1"], out=b.dnormed)
        rms_norm_backward(b.dnormed, layer.mlp_normed, layer.mlp_scale, b.rows, b.work)
        b.dx += b.dnormed
        np.dot(b.dx.T, layer.gathered, out=self.dfused[of + "attn_wo"])
        np.dot(b.dx, self.fused[of + "attn_wo"], out=b.dgathered)
        np.matmul(layer.weights.mT, b.dgathered_heads, out=b.dvalue)
        np.matmul(b.dgathered_heads, layer.value.mT, out=b.dscores)  # (H, n, n)
        softmax_backward(b.dscores, layer.weights, b.head_rows)
        b.dscores *= self.shape.head_width**-0.5
        np.matmul(b.dscores, layer.key, out=b.dquery)
        np.matmul(b.dscores.mT, layer.query, out=b.dkey)
        np.dot(b.dqkv.T, layer.normed, out=self.dfused[of + "attn_wqkv"])
        np.dot(b.dqkv, self.fused[of + "attn_wqkv"], out=b.dnormed)
        rms_norm_backward(b.dnormed, layer.normed, layer.scale, b.rows, b.work)
        b.dx += b.dnormed


class Buffers(SimpleNamespace):
    """The buffers for n positions by name, and those of each layer, cut from the arena.

    An arena that is large enough for the longest document serves every n: only one document is
    between `forward` and `backward` at a time.
    """

    def __init__(self, shape: Shape, n: int, arena: Array) -> None:
        views = cut(arena, buffer_sizes(shape, n))
        super().__init__(**{name: view for name, view in views.items() if "." not in name})
        self.range = np.arange(n)
        self.dgathered_heads = heads(self.dgathered, shape)
        self.dquery, self.dkey, self.dvalue = (
            heads(third, shape) for third in np.split(self.dqkv, 3, axis=1)
        )
        self.layers = []
        for number in range(shape.n_layer):
            own = {name: views[f"layer{number}.{name}"] for name in layer_sizes(shape, n)}
            thirds = [heads(third, shape) for third in np.split(own["qkv"], 3, axis=1)]
            own |= dict(zip(("query", "key", "value"), thirds, strict=True))
            own["gathered_heads"] = heads(own["gathered"], shape)
            self.layers.append(SimpleNamespace(**own))


def heads(x: Array, shape: Shape) -> Array:
    """A view of (n, C) as (H, n, D)."""
    return x.reshape(len(x), shape.n_head, shape.head_width).transpose(1, 0, 2)


def fused_sizes(shape: Shape) -> Table:
    """`weights.sizes`, with the neighbours wq, wk and wv of each layer as one matrix, (3C, C)."""
    found: Table = {}
    for name, (rows, columns) in sizes(shape).items():
        if name.endswith("attn_wq"):
            found[name[:-1] + "qkv"] = (3 * rows, columns)
        elif not name.endswith(("attn_wk", "attn_wv")):
            found[name] = (rows, columns)
    return found


def layer_sizes(shape: Shape, n: int) -> Table:
    """The activations of a layer at n positions, kept for the backward pass."""
    width = shape.n_embd
    names = {"normed": 1, "qkv": 3, "gathered": 1, "mlp_normed": 1, "relu": 4, "squared": 4, "x": 1}
    return {name: (n, times * width) for name, times in names.items()} | {
        "scale": (n, 1),
        "mlp_scale": (n, 1),
        "weights": (shape.n_head, n, n),
    }


def buffer_sizes(shape: Shape, n: int) -> Table:
    """All buffers: the two ends of the model, gradients, room to work in, and the layers'."""
    width = shape.n_embd
    names = {"embedded": 1, "work": 1, "dx": 1, "dnormed": 1, "dgathered": 1, "dqkv": 3, "drelu": 4}
    found: Table = {name: (n, times * width) for name, times in names.items()} | {
        "scale": (n, 1),
        "rows": (n, 1),
        "head_rows": (shape.n_head, n, 1),
        "dscores": (shape.n_head, n, n),
        "dlogits": (n, shape.vocab_size),
    }
    for number in range(shape.n_layer):
        layer = layer_sizes(shape, n)
        found |= {f"layer{number}.{name}": size for name, size in layer.items()}
    return found
