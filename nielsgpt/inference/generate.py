"""From prompt ids to new ids: read the prompt once, then one position a token.

The window rule: the model sees the newest `context_length` ids. When they are full and one more
comes, the oldest half goes and the newest `context_length // 2` ids are read anew from position 0.
So every token costs one position and the rare slide costs half a context, whatever the kind of
positions; and a cached reply equals one computed without a cache under the same rule.

    context 8, ids a..h and then i:   [a b c d e f g h] + i  ->  [f g h i]
"""

from collections import defaultdict
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nielsgpt.errors import RunError
from nielsgpt.inference.kvcache import KVCache
from nielsgpt.inference.sampling import choose, generator_for
from nielsgpt.model.gpt import GPT
from nielsgpt.settings import GenerationSettings

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Completion:
    """New ids without the end id, and why they end: an end id came, or the length was reached."""

    ids: list[int]
    finish_reason: FinishReason


def generate(
    model: GPT,
    prompt_ids: Sequence[int],
    sampling: GenerationSettings,
    *,
    stop_ids: Collection[int],
    banned_ids: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> Generator[int, None, FinishReason]:
    """Yields new ids as they are drawn, end ids excluded; returns the finish reason.

    Needs at least one prompt id. Stop strings are matters of text: see `reply`. Without a
    generator, draws as row 0 of `complete_all`.
    """
    own = generator or generator_for(sampling.seed)
    for _, token in _stream(model, [prompt_ids], sampling, stop_ids, banned_ids, [own]):
        if token is None:
            return "stop"
        yield token
    return "length"


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

    Prompts of equal length run as one batch, and prompt i draws from `generator_for(seed, i)`.
    """
    ids: list[list[int]] = [[] for _ in prompts]
    reasons: list[FinishReason] = ["length" for _ in prompts]
    for batch in _batches(prompts, rows_at_once):
        generators = [generator_for(sampling.seed, index) for index in batch]
        rows = [prompts[index] for index in batch]
        for row, token in _stream(model, rows, sampling, stop_ids, banned_ids, generators):
            if token is None:
                reasons[batch[row]] = "stop"
            else:
                ids[batch[row]].append(token)
    return [Completion(*pair) for pair in zip(ids, reasons, strict=True)]


@torch.inference_mode()
def prefill(model: GPT, rows: Sequence[Sequence[int]], cache: KVCache) -> Tensor:
    """Read whole rows of equal length into the emptied cache; float32 CPU logits (B, V) after
    their last ids."""
    cache.clear()
    return _logits(model, torch.tensor(rows), cache)


@torch.inference_mode()
def decode(model: GPT, newest: Sequence[int], cache: KVCache) -> Tensor:
    """Read one more id for each row; float32 CPU logits (B, V) after it."""
    return _logits(model, torch.tensor(newest)[:, None], cache)


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """The model in evaluation mode, and afterwards in the mode that it had."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _stream(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    sampling: GenerationSettings,
    stop_ids: Collection[int],
    banned_ids: Sequence[int],
    generators: Sequence[torch.Generator],
) -> Iterator[tuple[int, int | None]]:
    """(row, id) as drawn for prompts of equal length, then (row, None) where a row ends itself."""
    texts = [list(prompt) for prompt in prompts]  # all ids of each row, prompt included
    cache = KVCache(min(model.context_length, len(texts[0]) + sampling.max_new_tokens))
    batch = live = list(range(len(texts)))  # rows in the cache, rows that still speak
    with evaluating(model):
        for _ in range(sampling.max_new_tokens):
            rows = [texts[row] for row in batch]
            drawn = choose(
                _read(model, rows, cache),
                _seen(rows, sampling),
                sampling,
                [generators[row] for row in batch],
                banned=banned_ids,
                unpenalised=stop_ids,
            )
            for row, token in zip(batch, drawn.tolist(), strict=True):
                texts[row].append(token)
                if row in live:
                    yield row, None if token in stop_ids else token
            live = [row for row in live if texts[row][-1] not in stop_ids]
            if not live:
                return
            if 2 * len(live) <= len(batch):  # to copy at each halving costs little in all
                cache.keep([batch.index(row) for row in live])
                batch = live


def _read(model: GPT, rows: list[list[int]], cache: KVCache) -> Tensor:
    """Logits (B, V) after the newest id of each row, by the window rule."""
    context = model.context_length
    if cache.length == 0:
        return prefill(model, [row[-context:] for row in rows], cache)
    if cache.length == context:
        return prefill(model, [row[-(context // 2) :] for row in rows], cache)
    return decode(model, [row[-1] for row in rows], cache)


def _logits(model: GPT, ids: Tensor, cache: KVCache) -> Tensor:
    device = next(model.parameters()).device
    hidden = model.trunk(ids.to(device), cache)
    logits = model.head(hidden[:, -1:])[:, 0].float().cpu()  # (B, V)
    if not logits.isfinite().all():
        raise RunError(
            "the model's logits are not finite, so its weights are damaged; "
            "name another checkpoint with --ckpt"
        )
    return logits


def _seen(rows: list[list[int]], sampling: GenerationSettings) -> Tensor:
    """The ids (B, N) that the repetition penalty falls on: the newest `repetition_window`."""
    if sampling.repetition_penalty == 1.0:
        return torch.empty(len(rows), 0, dtype=torch.int64)
    return torch.tensor([row[-sampling.repetition_window :] for row in rows])  # 0: all


def _batches(prompts: Sequence[Sequence[int]], rows_at_once: int) -> Iterator[list[int]]:
    """Indices of prompts of equal length, at most `rows_at_once` together."""
    by_length = defaultdict(list)
    for index, prompt in enumerate(prompts):
        by_length[len(prompt)].append(index)
    for indices in by_length.values():
        for start in range(0, len(indices), rows_at_once):
            yield indices[start : start + rows_at_once]
