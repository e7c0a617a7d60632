"""What a model thinks of a text that is there: the log-probability of each of its ids."""

from collections.abc import Sequence

import torch

from nielsgpt.inference.evaluating import evaluating
from nielsgpt.inference.sampling import Ranking, likeliest
from nielsgpt.model.gpt import GPT


@torch.inference_mode()
def prompt_logprobs(
    model: GPT, ids: Sequence[int], count: int
) -> list[tuple[float | None, Ranking]]:
    """For each id its natural log-probability after those before it, and the `count` likeliest.

    The first has none. Needs one id at least, and at most the context.
    """
    with evaluating(model):
        device = model.embedding.weight.device
        logits = model(torch.tensor([list(ids)]).to(device))[0].cpu()  # (T, V)
    pairs = zip(logits, ids[1:], strict=False)
    return [(None, ()), *(likeliest(row, token, count) for row, token in pairs)]
