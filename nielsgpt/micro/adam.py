"""The optimizer, one for every backend: Adam (Kingma and Ba 2014), its rate falling to zero."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from nielsgpt.micro.scenarios import Training

# The share of the learning rate that is left when this share of the updates is done.
DECAYS: dict[str, Callable[[float], float]] = {
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}


class Leaf(Protocol):
    """A trainable parameter: one number with its gradient, or an array with its gradients."""

    data: Any
    grad: Any


class Adam:
    """Moves leaves against their gradients by about the rate, whatever the gradients' size.

    The moments are running means of the gradient and of its square. They begin at zero, so their
    first values are too small; dividing them by 1 - beta^step corrects that. The first move is
    therefore rate * g / |g|: at rate 0.1, a weight of 1 goes to 0.9 from a gradient of 5, and to
    1.1 from one of -0.02.
    """

    def __init__(self, updates: int, numbers: "Training") -> None:
        self.updates, self.numbers, self.step = updates, numbers, 0
        self.moments: list[tuple[Any, Any]] = []

    def rate(self, step: int) -> float:
        """The learning rate of update number `step`, counted from 0 to updates - 1."""
        return self.numbers.learning_rate * DECAYS[self.numbers.decay](step / self.updates)

    def update(self, leaves: Sequence[Leaf]) -> None:
        """Move every leaf and set its gradient to zero, both in place where they are arrays."""
        beta1, beta2 = self.numbers.beta1, self.numbers.beta2
        rate, self.step = self.rate(self.step), self.step + 1
        # Both corrections in the size of the move, which saves two divisions for every leaf:
        # rate (m / c1) / (sqrt(v / c2) + eps) = (rate sqrt(c2) / c1) m / (sqrt(v) + eps sqrt(c2))
        root = math.sqrt(1.0 - beta2**self.step)
        size, eps = rate * root / (1.0 - beta1**self.step), self.numbers.eps_adam * root
        if not self.moments:
            self.moments = [(leaf.grad * 0.0, leaf.grad * 0.0) for leaf in leaves]
        for index, leaf in enumerate(leaves):
            grad, (mean, square) = leaf.grad, self.moments[index]
            mean = beta1 * mean + (1.0 - beta1) * grad
            square = beta2 * square + (1.0 - beta2) * grad * grad
            leaf.data -= size * mean / (square**0.5 + eps)
            leaf.grad *= 0.0
            self.moments[index] = (mean, square)
