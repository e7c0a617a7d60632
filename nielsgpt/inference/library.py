"""Generation as one call, for a program of one's own."""

from collections.abc import Collection, Sequence
from typing import Any

import torch

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.inference import generate as generation
from nielsgpt.model.gpt import GPT


def generate(
    model: GPT, ids: Sequence[int], *, stop_ids: Collection[int] = (), **drawing: Any
) -> torch.Tensor:
    """The prompt's ids and the new ones, as a row of integers; `drawing` is any of the settings of
    `generation`. Raises ValueError without a prompt.

    `output_ids = generate(model, tokenizer.encode("Hello"), max_new_tokens=50)`
    """
    if not len(ids):
        raise ValueError("generate needs at least one id to continue, such as the end token")
    new = generation.generate(model, ids, GenerationSettings(**drawing), stop_ids=stop_ids)
    return torch.tensor([*ids, *new], dtype=torch.long)
