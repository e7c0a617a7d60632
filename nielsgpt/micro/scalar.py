"""A GPT made of numbers that remember where they came from: pure Python, no library.

The first half is automatic differentiation, the second half the model. Nothing here is fast and
everything is there: what the other backends compute, they compute because of these lines.
"""

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, pairwise
from operator import mul

from nielsgpt.micro.weights import NORM_EPS, Shape, Weights


class Value:
    """A number, the numbers it was made from, and its slope along each of them.

    The chain rule on real numbers. Let a = 3, b = 4 and c = a b + a^2 = 21. A small push to a
    moves the product b = 4 times as much and the square 2a = 6 times, so c moves 10 times as much:

        >>> a, b = Value(3.0), Value(4.0)
        >>> c = a * b + a**2
        >>> c.backward()
        >>> c.data, a.grad, b.grad
        (21.0, 10.0, 3.0)

    `inputs` and `slopes` go together: slopes[i] is d self / d inputs[i]. A value without inputs is
    a leaf: a weight, or a constant.
    """

    __slots__ = ("data", "grad", "inputs", "slopes")

    def __init__(
        self, data: float, inputs: tuple["Value", ...] = (), slopes: tuple[float, ...] = ()
    ) -> None:
        self.data, self.grad, self.inputs, self.slopes = data, 0.0, inputs, slopes

    def __add__(self, other: "Value | float") -> "Value":
        if isinstance(other, Value):
            return Value(self.data + other.data, (self, other), (1.0, 1.0))
        return Value(self.data + other, (self,), (1.0,))

    def __mul__(self, other: "Value | float") -> "Value":
        if isinstance(other, Value):
            return Value(self.data * other.data, (self, other), (other.data, self.data))
        return Value(self.data * other, (self,), (other,))

    def __pow__(self, power: float) -> "Value":
        return Value(self.data**power, (self,), (power * self.data ** (power - 1),))

    def exp(self) -> "Value":
        """e to the self, which is its own slope."""
        power = math.exp(self.data)
        return Value(power, (self,), (power,))

    def log(self) -> "Value":
        """The natural logarithm; its slope is 1 / self."""
        return Value(math.log(self.data), (self,), (1.0 / self.data,))

    def relu(self) -> "Value":
        """self where it is positive, else 0."""
        return Value(max(self.data, 0.0), (self,), (float(self.data > 0.0),))

    def __neg__(self) -> "Value":
        return self * -1.0

    def __sub__(self, other: "Value | float") -> "Value":
        return self + -other

    def __truediv__(self, other: "Value | float") -> "Value":
        return self * other**-1

    def __radd__(self, other: float) -> "Value":
        return self + other

    def __rmul__(self, other: float) -> "Value":
        return self * other

    def __rsub__(self, other: float) -> "Value":
        return -self + other

    def __rtruediv__(self, other: float) -> "Value":
        return self**-1 * other

    def __repr__(self) -> str:
        return f"Value({self.data:g}, grad={self.grad:g})"

    def backward(self, share: float = 1.0) -> None:
        """Add share * d self / d leaf to the `grad` of every leaf that self was made from.

        Each value hands its gradient on to its inputs, times the slope along each: that is the
        chain rule, and all of backpropagation. A value's turn comes when all that it went into
        have had theirs.
        """
        with no_garbage_collection():
            order = inputs_first(self)
            for value in order:
                value.grad = 0.0
            self.grad = share
            for value in reversed(order):
                grad = value.grad
                if grad:  # Behind a closed ReLU there is nothing to hand on.
                    for source, slope in zip(value.inputs, value.slopes, strict=True):
                        source.grad += slope * grad


def dot(a: Sequence[Value], b: Sequence[Value]) -> Value:
    """The sum of a[i] * b[i]: what `+` and `*` would give, as one value with many inputs."""
    left, right = [value.data for value in a], [value.data for value in b]
    return Value(sum(map(mul, left, right)), (*a, *b), (*right, *left))


def total(values: Sequence[Value]) -> Value:
    """The sum of the values."""
    return Value(sum(v.data for v in values), tuple(values), (1.0,) * len(values))


def inputs_first(root: Value) -> list[Value]:
    """All values that root was made from and that have inputs, each after its inputs.

    Depth first with a list for a stack: a long sum is deeper than Python may recurse.
    """
    opened: set[Value] = set()
    placed: dict[Value, None] = {}
    stack = [root]
    while stack:
        value = stack[-1]
        if value in opened:
            placed[stack.pop()] = None
        else:
            opened.add(value)
            stack += [v for v in value.inputs if v.inputs and v not in opened]
    return list(placed)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Without the collector, which would look through all the values again and again, in vain."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def linear(matrix: Sequence[Sequence[Value]], x: Sequence[Value]) -> list[Value]:
    """matrix @ x."""
    return [dot(row, x) for row in matrix]


def rms_norm(x: Sequence[Value]) -> list[Value]:
    """x, scaled to a root mean square of 1 (Zhang and Sennrich 2019), without a gain."""
    scale = (dot(x, x) / len(x) + NORM_EPS) ** -0.5
    return [value * scale for value in x]


def softmax(logits: Sequence[Value]) -> list[Value]:
    """Positive numbers that add up to 1, in the ratios e to the logits."""
    top = max(logit.data for logit in logits)  # No change to the ratios, and no overflow.
    powers = [(logit - top).exp() for logit in logits]
    scale = total(powers) ** -1
    return [power * scale for power in powers]


def cross_entropy(logits: Sequence[Value], target: int) -> Value:
    """-log softmax(logits)[target], in a form in which nothing overflows."""
    top = max(logit.data for logit in logits)
    return total([(logit - top).exp() for logit in logits]).log() + top - logits[target]


class ScalarGPT:
    """The model, reading one token after the other."""

    def __init__(self, shape: Shape, weights: Weights) -> None:
        self.shape = shape
        self.matrices = {
            name: [[Value(number) for number in row] for row in matrix]
            for name, matrix in weights.items()
        }
        self.restart()

    def restart(self) -> None:
        """Forget what was read."""
        self.keys: list[list[list[Value]]] = [[] for _ in range(self.shape.n_layer)]
        self.values: list[list[list[Value]]] = [[] for _ in range(self.shape.n_layer)]

    def read(self, token: int) -> list[float]:
        """Read one more token, at most block_size of them; the logits of the one after it."""
        return [logit.data for logit in self.logits(token)]

    def logits(self, token: int) -> list[Value]:
        """The same with their memory: V values."""
        matrices, position = self.matrices, len(self.keys[0])
        x = [t + p for t, p in zip(matrices["wte"][token], matrices["wpe"][position], strict=True)]
        x = rms_norm(x)
        for layer in range(self.shape.n_layer):
            x = self.attention(layer, x)
            x = self.mlp(layer, x)
        return linear(matrices["lm_head"], x)

    def attention(self, layer: int, x: list[Value]) -> list[Value]:
        """x + what each head gathers from the positions so far."""
        wq, wk, wv, wo = (self.matrices[f"layer{layer}.attn_w{letter}"] for letter in "qkvo")
        normed, width = rms_norm(x), self.shape.head_width
        query = linear(wq, normed)
        self.keys[layer].append(linear(wk, normed))
        self.values[layer].append(linear(wv, normed))
        gathered: list[Value] = []
        for first in range(0, self.shape.n_embd, width):
            head = slice(first, first + width)
            scores = [dot(query[head], key[head]) / width**0.5 for key in self.keys[layer]]
            weights = softmax(scores)
            columns = zip(*(value[head] for value in self.values[layer]), strict=True)
            gathered += [dot(weights, column) for column in columns]
        return [a + b for a, b in zip(x, linear(wo, gathered), strict=True)]

    def mlp(self, layer: int, x: list[Value]) -> list[Value]:
        """x + what a hidden layer of ReLU squared makes of it."""
        fc1, fc2 = self.matrices[f"layer{layer}.mlp_fc1"], self.matrices[f"layer{layer}.mlp_fc2"]
        hidden = [value.relu() ** 2 for value in linear(fc1, rms_norm(x))]
        return [a + b for a, b in zip(x, linear(fc2, hidden), strict=True)]

    def forward(self, ids: Sequence[int]) -> float:
        """The mean loss, in nats, of foretelling ids[1:] from what stands before each."""
        with no_garbage_collection():
            self.restart()
            pairs = islice(pairwise(ids), self.shape.block_size)
            losses = [cross_entropy(self.logits(token), target) for token, target in pairs]
            self.loss = total(losses) / len(losses)
        return self.loss.data

    def backward(self, share: float = 1.0) -> None:
        """Add share times the gradient of the last `forward` to that of every weight."""
        self.loss.backward(share)

    def leaves(self) -> list[Value]:
        """Every weight, in the order of `weights.sizes`."""
        return [value for matrix in self.matrices.values() for row in matrix for value in row]

    def weights(self) -> Weights:
        """The weights as plain numbers."""
        return {n: [[v.data for v in row] for row in m] for n, m in self.matrices.items()}

    def gradients(self) -> Weights:
        """The gradients that have gathered since the last update, as plain numbers."""
        return {n: [[v.grad for v in row] for row in m] for n, m in self.matrices.items()}
