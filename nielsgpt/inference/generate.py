"""From a prompt to new ids and to text, and the log-probabilities of a given text.

A prompt is prefilled once, then one id at a time is decoded.

The window rule: the model sees the newest `context_length` ids. When the context is full and one
more id comes, the oldest half is dropped and the newest `context_length // 2` ids are prefilled
again from position 0. So each token costs one position and the rare slide costs half a context,
whatever the kind of positions; and a cached reply equals one computed without a cache.

    context 8, ids a..h and then i:   [a b c d e f g h] + i  ->  [f g h i]
"""

from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.inference.batcher import Batcher, FinishReason, GenerationRequest
from nielsgpt.inference.detokenizer import Detokenizer
from nielsgpt.inference.sampling import TopLogprobs, compute_top_logprobs, make_generator
from nielsgpt.model.gpt import GPT, eval_mode
from nielsgpt.tokenizers.base import Tokenizer


@dataclass(frozen=True)
class GeneratedIds:
    """New ids without the end id, and why they end: at an end id, or at the longest length."""

    ids: list[int]
    finish_reason: FinishReason


def stream_ids(batcher: Batcher, request: GenerationRequest) -> Generator[int, None, FinishReason]:
    """Yields new ids as they are sampled, without end ids; returns the finish reason.

    Nothing else may run in the batch meanwhile. Closing the generator removes the row.
    """
    row = batcher.join(request)
    try:
        while True:
            (sampled,) = batcher.step()
            if sampled.token is not None:
                yield sampled.token
            if sampled.finish:
                return sampled.finish
    finally:
        batcher.leave(row)


def generate(
    model: GPT,
    prompt_ids: Sequence[int],
    sampling: GenerationSettings,
    *,
    stop_ids: Collection[int],
    banned_ids: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> Generator[int, None, FinishReason]:
    """Yields the new ids of one prompt; without a generator, those of row 0 of `generate_all`."""
    generator = generator or make_generator(sampling.seed)
    request = GenerationRequest(
        tuple(prompt_ids), sampling, generator, tuple(stop_ids), tuple(banned_ids)
    )
    with eval_mode(model):
        return (yield from stream_ids(Batcher(model, 1), request))


def generate_all(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    sampling: GenerationSettings,
    *,
    stop_ids: Collection[int],
    banned_ids: Sequence[int] = (),
    rows_at_once: int = 64,
) -> list[GeneratedIds]:
    """The new ids of each prompt, in order, equal to those that `generate` gives one by one.

    Prompt i samples from `make_generator(seed, i)`. As soon as one ends, the next one starts.
    """
    batcher = Batcher(model, rows_at_once)
    remaining = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))  # popped last
    running: dict[int, int] = {}
    ids: list[list[int]] = [[] for _ in prompts]
    reasons: list[FinishReason] = ["length" for _ in prompts]
    with eval_mode(model):
        while remaining or running:
            while remaining and batcher.free_rows:
                index = remaining.pop()
                request = GenerationRequest(
                    tuple(prompts[index]),
                    sampling,
                    make_generator(sampling.seed, index),
                    tuple(stop_ids),
                    tuple(banned_ids),
                )
                running[batcher.join(request)] = index
            for sampled in batcher.step():
                index = running[sampled.row]
                if sampled.token is not None:
                    ids[index].append(sampled.token)
                if sampled.finish:
                    reasons[index] = sampled.finish
                    del running[sampled.row]
    return [GeneratedIds(*pair) for pair in zip(ids, reasons, strict=True)]


def stream_reply(
    batcher: Batcher,
    prompt_ids: Sequence[int],
    sampling: GenerationSettings,
    generator: torch.Generator,
    detokenizer: Detokenizer,
) -> Generator[str, None, FinishReason]:
    """Yields the model's text after the prompt up to an end token or a stop string, never a role;
    returns the finish reason."""
    specials = detokenizer.tokenizer.specials
    request = GenerationRequest(
        tuple(prompt_ids), sampling, generator, (specials.end,), specials.roles
    )
    return (yield from stream_text(stream_ids(batcher, request), detokenizer))


def stream_continuation(
    model: GPT, tokenizer: Tokenizer, prompt: str, sampling: GenerationSettings, index: int = 0
) -> Generator[str, None, FinishReason]:
    """Yields the index-th continuation of a text that begins a document; returns the reason.

    The end token separates documents, so it comes before the prompt.
    """
    prompt_ids = [tokenizer.specials.end, *tokenizer.encode(prompt)]
    detokenizer = Detokenizer(tokenizer, sampling.stop_strings)
    generator = make_generator(sampling.seed, index)
    return (
        yield from stream_reply(Batcher(model, 1), prompt_ids, sampling, generator, detokenizer)
    )


def stream_text(
    ids: Generator[int, None, FinishReason], detokenizer: Detokenizer
) -> Generator[str, None, FinishReason]:
    """Yields the text of the ids in non-empty pieces; returns the finish reason."""
    reason: FinishReason = "stop"
    with closing(ids):
        while not detokenizer.stopped:
            try:
                token = next(ids)
            except StopIteration as end:
                reason = end.value
                break
            if piece := detokenizer.push(token):
                yield piece
        if piece := detokenizer.flush():
            yield piece
    return reason


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
