"""The loss and its gradients: one forward and backward pass for trainer, autotuning and doctor.

Cross-entropy of a linear head over the vocabulary, in chunks: no (B, T, V) tensor ever lives.

With logits z = h W' and p = softmax(z), the loss of a row is logsumexp(z) - z[y], its gradient by z
is p - onehot(y). Both are made chunk by chunk in the forward pass; the backward pass only scales.
The gradient is kept as exp(z - max) with one number changed a row, and divided by the row's sum
where that is cheap: in the (chunk, C) products beside it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nielsgpt.data.cache.loader import IGNORED
from nielsgpt.model.gpt import GPT
from nielsgpt.system.compile_cache import compile_if_enabled
from nielsgpt.system.device import ExecutionConfig

CHUNK = 2048
Exponentials = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def exponentials(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """exp(z - max) in the dtype of the logits (n, V), its float32 sum and the max, (n, 1) each."""
    most = logits.amax(-1, keepdim=True).float()
    powers = (logits.float() - most).exp()
    return powers.to(logits.dtype), powers.sum(-1, keepdim=True), most


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    smoothing: float = 0.0,
    kernel: Exponentials = exponentials,
) -> Tensor:
    """The *sum* of -log softmax(h W')[y] in nats over the targets that are not -100, a float32.

    hidden (..., C) of any float dtype, weight (V, C) float32, targets (...) int64. With smoothing s
    the target is y with 1 - s and every id with s / V (Szegedy et al. 2016). `kernel` is
    `exponentials`, or the same compiled.
    """
    hidden, targets = hidden.reshape(-1, hidden.size(-1)), targets.reshape(-1)
    counted = targets != IGNORED
    if not bool(counted.all()):
        rows = counted.nonzero()[:, 0]
        hidden, targets = hidden[rows], targets[rows]
    total: Tensor = _LinearCrossEntropy.apply(hidden, weight, targets, smoothing, kernel)  # type: ignore[no-untyped-call]
    return total


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        smoothing: float,
        kernel: Exponentials,
    ) -> Tensor:
        wanted = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        matrix = weight.to(hidden.dtype)  # (V, C)
        across = matrix.T.contiguous()  # twice as fast a product as with the transposed view
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        by_hidden = torch.empty_like(hidden) if wanted else hidden
        by_weight = torch.zeros_like(weight) if wanted else weight
        for start in range(0, len(hidden), CHUNK):
            rows, labels = hidden[start : start + CHUNK], targets[start : start + CHUNK, None]
            logits = rows @ across  # (chunk, V)
            powers, sums, most = kernel(logits)
            total += _losses(logits, labels, sums.log() + most, smoothing).sum()
            if wanted:
                _subtract_target(powers, logits, labels, sums, most, smoothing)
                by_hidden[start : start + CHUNK] = (powers @ matrix) / sums
                by_weight += powers.T @ (rows / sums).to(rows.dtype)
        ctx.save_for_backward(by_hidden, by_weight)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        by_hidden, by_weight = ctx.saved_tensors
        return by_hidden * scale.to(by_hidden.dtype), by_weight * scale, None, None, None


def _losses(logits: Tensor, labels: Tensor, partition: Tensor, smoothing: float) -> Tensor:
    """The loss of each row, (n, 1)."""
    losses = partition - logits.gather(1, labels).float()
    if smoothing:
        losses = torch.lerp(losses, partition - logits.float().mean(-1, keepdim=True), smoothing)
    return losses


def _subtract_target(
    powers: Tensor, logits: Tensor, labels: Tensor, sums: Tensor, most: Tensor, smoothing: float
) -> None:
    """Turn exp(z - max) into the gradient by z times the row's sum, in place.

    The target's own number is made in float32 first: it is a small difference where the model is
    sure.
    """
    if smoothing:
        powers -= (sums * (smoothing / powers.size(1))).to(powers.dtype)
    own = (logits.gather(1, labels).float() - most).exp()
    own -= sums * (1 - smoothing + smoothing / powers.size(1))
    places = torch.arange(len(labels), device=labels.device) * powers.size(1) + labels[:, 0]
    # Not scatter_, whose deterministic form copies the whole tensor.
    powers.view(-1).index_copy_(0, places, own[:, 0].to(powers.dtype))


def prepare_model(model: GPT, execution: ExecutionConfig, checkpointing: bool = False) -> GPT:
    """The model on its device, in the dtype and the attention of the execution config."""
    model.compute_dtype = execution.dtype
    model.checkpointing = checkpointing
    model.set_attention(execution.attention)
    return model.to(execution.device)


class ForwardBackward:
    """One model's loss and gradients, compiled where the execution config compiles."""

    def __init__(self, model: GPT, execution: ExecutionConfig) -> None:
        self.model = model
        self.device = execution.device
        self._trunk = compile_if_enabled(model.trunk, execution)
        self._kernel = compile_if_enabled(exponentials, execution, any_shape=True)

    def __call__(
        self, inputs: Tensor, targets: Tensor, scale: float, smoothing: float = 0.0
    ) -> Tensor:
        """Add the gradients of `scale` times the loss to every `.grad`; return the loss.

        inputs and targets (B, T) int64, targets -100 where they do not count. The loss is the sum
        over the counted targets in nats, a detached float32.
        """
        hidden = self._trunk(inputs.to(self.device, non_blocking=True))  # (B, T, C)
        targets = targets.to(self.device, non_blocking=True)
        loss = linear_cross_entropy(
            hidden, self.model.head_weight, targets, smoothing, self._kernel
        )
        torch.autograd.backward(loss * scale)
        return loss.detach()
