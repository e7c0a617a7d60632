"""The cost of the head, the matrix product that turns hidden states into logits."""

import torch

from nielsgpt.config.settings import ModelSettings
from nielsgpt.model.gpt import GPT, flops_per_token, parameter_count


def head_shares(shape: ModelSettings, vocab_size: int) -> dict[str, float]:
    """The head's share of a model's parameters and of its FLOPs per training token.

    `parameters`: V C / total, counting tied weights once; `flops`: 6 V C / `flops_per_token`;
    `of_parameters`: the total number of parameters.
    """
    with torch.device("meta"):
        model = GPT(shape, vocab_size)
    head, total = model.head_weight.numel(), parameter_count(model)
    return {
        "parameters": head / total,
        "flops": 6 * head / flops_per_token(model),
        "of_parameters": total,
    }
