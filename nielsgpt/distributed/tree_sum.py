"""Sums in a fixed order: the same bits whoever adds which part.

Floating-point sums depend on their order. Here M gradients, M = q 2^k with q odd, are added as a
balanced binary tree over 2^k runs of q neighbours. Whoever holds a whole subtree may add it alone,
so 1, 2, 4, ... 2^k processes come to the same bits.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


def odd_part(count: int) -> int:
    """q of count = q 2^k, count above 0."""
    return count // (count & -count)


class TreeSum:
    """Adds the gradients of `count` micro-batches that come one after another.

    Neighbours are added by autograd, in `.grad`; what waits for its other half is kept aside, like
    the ones of a binary counter: for 4 micro-batches one gradient more than a plain sum needs, for
    8 two, for 16 three.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], count: int) -> None:
        self.parameters = list(parameters)
        odd = odd_part(count)
        self.run = 2 if odd == 1 and count > 1 else odd
        self.count, self.added = count, 0
        self._waiting: list[list[Tensor]] = []

    def add(self) -> None:
        """Take in what one more backward pass left in `.grad`; after the last the sum is there."""
        self.added += 1
        if self.added % self.run or self.count == self.run:
            return
        held = [p.grad for p in self.parameters if p.grad is not None]
        runs = self.added // self.run
        while runs % 2 == 0:
            half = self._waiting.pop()
            torch._foreach_add_(half, held)
            held, runs = half, runs // 2
        last = self.added == self.count
        if not last:
            self._waiting.append(held)
        with_gradient = [p for p in self.parameters if p.grad is not None]
        for p, gradient in zip(with_gradient, held, strict=True):
            p.grad = gradient if last else None


def sum_pairwise(parts: Sequence[Tensor]) -> Tensor:
    """The sum of 2^k tensors as a balanced tree of neighbours; the parts may be overwritten."""
    held = list(parts)
    while len(held) > 1:
        held = [a.add_(b) for a, b in zip(held[::2], held[1::2], strict=True)]
    return held[0]
