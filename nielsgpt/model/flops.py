"""What the head costs: the product that turns a hidden state into a logit for each id."""

import torch

from nielsgpt.config.settings import ModelSettings
from nielsgpt.model.gpt import GPT, flops_per_token, parameter_count


def head_shares(shape: ModelSettings, vocab_size: int) -> dict[str, float]:
    """The head's share of a model's parameters and of a training step's operations.

    `parameters`: V C of all, shared ones counted once; `flops`: 6 V C of the operations of one
    token, forward and backward (`flops_per_token`); `of_parameters`: how many there are.
    """
    with torch.device("meta"):
        model = GPT(shape, vocab_size)
    weights, every = model.head_weight.numel(), parameter_count(model)
    return {
        "parameters": weights / every,
        "flops": 6 * weights / flops_per_token(model),
        "of_parameters": every,
    }
