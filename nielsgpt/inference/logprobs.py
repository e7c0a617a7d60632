"""Scoring a given text: the log-probability of each of its ids, or of the end of many texts."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

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


@torch.inference_mode()
def score_endings(
    model: GPT, rows: NDArray[np.int64], count: int, rows_at_once: int = 32
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """For each row of (N, T) ids, its last `count` ids given those before them: the sum of their
    natural log-probabilities, and whether greedy decoding would write exactly these. Both (N,).

    Greedy decoding writes them if each is the top id after the ones before it, so one forward pass
    replaces `count` steps.
    """
    sums, greedy = np.zeros(len(rows)), np.zeros(len(rows), dtype=bool)
    device = model.embedding.weight.device
    with eval_mode(model):
        for start in range(0, len(rows), rows_at_once):
            part = slice(start, start + rows_at_once)
            ids = torch.from_numpy(rows[part]).to(device)
            logits = model.head(model.trunk(ids[:, :-1])[:, -count:])  # (B, count, V)
            endings = ids[:, -count:, None]
            logprobs = logits.log_softmax(-1).gather(-1, endings)
            sums[part] = logprobs.double().sum((1, 2)).cpu().numpy()
            greedy[part] = (logits.argmax(-1, keepdim=True) == endings).all(1)[:, 0].cpu().numpy()
    return sums, greedy
