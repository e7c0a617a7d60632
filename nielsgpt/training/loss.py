"""Cross-entropy of a linear head over the vocabulary, in chunks: no (B, T, V) tensor ever lives.

With logits z = h W' and p = softmax(z), the loss of a row is logsumexp(z) - z[y], its gradient by z
is p - onehot(y). Both are made chunk by chunk in the forward pass; the backward pass only scales.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nielsgpt.cache.batches import IGNORED

CHUNK = 2048


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """The *sum* of -log softmax(h W')[y] in nats over the targets that are not -100, a float32.

    hidden (..., C) of any float dtype, weight (V, C) float32, targets (...) int64.
    """
    hidden, targets = hidden.reshape(-1, hidden.size(-1)), targets.reshape(-1)
    counted = targets != IGNORED
    if not bool(counted.all()):
        rows = counted.nonzero()[:, 0]
        hidden, targets = hidden[rows], targets[rows]
    total: Tensor = _LinearCrossEntropy.apply(hidden, weight, targets)  # type: ignore[no-untyped-call]
    return total


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        wanted = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        matrix = weight.to(hidden.dtype)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        by_hidden = torch.empty_like(hidden) if wanted else hidden
        by_weight = torch.zeros_like(weight) if wanted else weight
        for start in range(0, len(hidden), CHUNK):
            rows, labels = hidden[start : start + CHUNK], targets[start : start + CHUNK, None]
            logits = (rows @ matrix.T).float()  # (chunk, V)
            partition = logits.logsumexp(-1, keepdim=True)
            total += (partition - logits.gather(1, labels)).sum()
            if wanted:
                slope = logits.sub_(partition).exp_()
                slope.scatter_add_(1, labels, torch.full_like(partition, -1.0))
                slope = slope.to(hidden.dtype)
                by_hidden[start : start + CHUNK] = slope @ matrix
                by_weight += slope.T @ rows
        ctx.save_for_backward(by_hidden, by_weight)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, Tensor, None]:
        by_hidden, by_weight = ctx.saved_tensors
        return by_hidden * scale.to(by_hidden.dtype), by_weight * scale, None
