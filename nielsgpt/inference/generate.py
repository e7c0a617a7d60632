"""From prompt ids to new ids: read the prompt once, then one position a token.

The window rule: the model sees the newest `context_length` ids. When they are full and one more
comes, the oldest half goes and the newest `context_length // 2` ids are read anew from position 0.
So every token costs one position and the rare slide costs half a context, whatever the kind of
positions; and a cached reply equals one computed without a cache under the same rule.

    context 8, ids a..h and then i:   [a b c d e f g h] + i  ->  [f g h i]
"""

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass

import torch

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.inference.batcher import Batcher, FinishReason, GenerationRequest
from nielsgpt.inference.eval_mode import eval_mode
from nielsgpt.inference.sampling import generator_for
from nielsgpt.model.gpt import GPT


@dataclass(frozen=True)
class Completion:
    """New ids without the end id, and why they end: an end id came, or the length was reached."""

    ids: list[int]
    finish_reason: FinishReason


def stream(batch: Batcher, request: GenerationRequest) -> Generator[int, None, FinishReason]:
    """Yields new ids as they are drawn, end ids excluded; returns the finish reason.

    Nothing else may run in the batch meanwhile. The row leaves when the generator is closed.
    """
    row = batch.join(request)
    try:
        while True:
            (drawn,) = batch.step()
            if drawn.token is not None:
                yield drawn.token
            if drawn.finish:
                return drawn.finish
    finally:
        batch.leave(row)


def generate(
    model: GPT,
    prompt_ids: Sequence[int],
    sampling: GenerationSettings,
    *,
    stop_ids: Collection[int],
    banned_ids: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> Generator[int, None, FinishReason]:
    """The stream of one prompt. Without a generator, draws as row 0 of `complete_all`."""
    own = generator or generator_for(sampling.seed)
    asked = GenerationRequest(tuple(prompt_ids), sampling, own, tuple(stop_ids), tuple(banned_ids))
    with eval_mode(model):
        return (yield from stream(Batcher(model, 1), asked))


def complete_all(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    sampling: GenerationSettings,
    *,
    stop_ids: Collection[int],
    banned_ids: Sequence[int] = (),
    rows_at_once: int = 64,
) -> list[Completion]:
    """One completion for each prompt, in order: those that `generate` gives one by one.

    Prompt i draws from `generator_for(seed, i)`. As soon as one has ended the next one begins.
    """
    batch = Batcher(model, rows_at_once)
    left = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))  # last ones first
    running: dict[int, int] = {}
    ids: list[list[int]] = [[] for _ in prompts]
    reasons: list[FinishReason] = ["length" for _ in prompts]
    with eval_mode(model):
        while left or running:
            while left and batch.free:
                index = left.pop()
                own = generator_for(sampling.seed, index)
                asked = tuple(prompts[index]), sampling, own, tuple(stop_ids), tuple(banned_ids)
                running[batch.join(GenerationRequest(*asked))] = index
            for drawn in batch.step():
                index = running[drawn.row]
                if drawn.token is not None:
                    ids[index].append(drawn.token)
                if drawn.finish:
                    reasons[index] = drawn.finish
                    del running[drawn.row]
    return [Completion(*pair) for pair in zip(ids, reasons, strict=True)]
