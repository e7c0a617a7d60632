"""What a model thinks of a text that is there: the log-probability of each of its ids."""

from collections.abc import Sequence

import torch

from nielsgpt.inference.eval_mode import eval_mode
from nielsgpt.inference.sampling import Ranking, top_logprobs
from nielsgpt.model.gpt import GPT


@torch.inference_mode()
def prompt_logprobs(
    model: GPT, ids: Sequence[int], count: int
) -> list[tuple[float | None, Ranking]]:
    """For each id its natural log-probability after those before it, and the `count` likeliest.

    The first has none. Needs one id at least, and at most the context.
    """
    with eval_mode(model):
        device = model.embedding.weight.device
        logits = model(torch.tensor([list(ids)]).to(device))[0].cpu()  # (T, V)
    pairs = zip(logits, ids[1:], strict=False)
    return [(None, ()), *(top_logprobs(row, token, count) for row, token in pairs)]
