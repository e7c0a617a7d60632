"""Scoring a given text: the log-probability of each of its ids."""

from collections.abc import Sequence

import torch

from nielsgpt.inference.eval_mode import eval_mode
from nielsgpt.inference.sampling import TopLogprobs, compute_top_logprobs
from nielsgpt.model.gpt import GPT


@torch.inference_mode()
def compute_logprobs(
    model: GPT, ids: Sequence[int], count: int
) -> list[tuple[float | None, TopLogprobs]]:
    """For each id, its natural log-probability given those before it, and the `count` top ids.

    The first id has None. Takes at least one id and at most a full context.
    """
    with eval_mode(model):
        device = model.embedding.weight.device
        logits = model(torch.tensor([list(ids)]).to(device))[0].cpu()  # (T, V)
    pairs = zip(logits, ids[1:], strict=False)
    return [(None, ()), *(compute_top_logprobs(row, token, count) for row, token in pairs)]
