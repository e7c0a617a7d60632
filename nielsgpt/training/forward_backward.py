"""The forward and backward pass that trainer, autotuning and doctor share."""

import torch
from torch import Tensor

from nielsgpt.model.gpt import GPT
from nielsgpt.system.compile_cache import compile_if_enabled
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.training.loss import exponentials, linear_cross_entropy


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
