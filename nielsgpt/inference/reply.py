"""A reply: text pieces from a prompt, up to an end token, a stop string or the longest length."""

from collections.abc import Generator, Sequence
from contextlib import closing

import torch

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.inference.batcher import Batcher, FinishReason, GenerationRequest
from nielsgpt.inference.detokenizer import Detokenizer
from nielsgpt.inference.generate import stream
from nielsgpt.inference.sampling import generator_for
from nielsgpt.model.gpt import GPT
from nielsgpt.tokenizers.base import Tokenizer


def stream_reply(
    batch: Batcher,
    prompt_ids: Sequence[int],
    sampling: GenerationSettings,
    generator: torch.Generator,
    text: Detokenizer,
) -> Generator[str, None, FinishReason]:
    """Yields the model's text after the prompt up to an end token or a stop string, never a role;
    returns the finish reason."""
    specials = text.tokenizer.specials
    end, roles = (specials.end,), specials.roles
    asked = GenerationRequest(tuple(prompt_ids), sampling, generator, end, roles)
    return (yield from reply_text(stream(batch, asked), text))


def continue_text(
    model: GPT, tokenizer: Tokenizer, prompt: str, sampling: GenerationSettings, index: int = 0
) -> Generator[str, None, FinishReason]:
    """Yields the index-th continuation of a text that begins a document; returns the reason.

    The end token separates documents, so it stands before the prompt.
    """
    prompt_ids = [tokenizer.specials.end, *tokenizer.encode(prompt)]
    text = Detokenizer(tokenizer, sampling.stop_strings)
    generator = generator_for(sampling.seed, index)
    return (yield from stream_reply(Batcher(model, 1), prompt_ids, sampling, generator, text))


def reply_text(
    ids: Generator[int, None, FinishReason], text: Detokenizer
) -> Generator[str, None, FinishReason]:
    """Yields the text of the ids in pieces, none empty; returns the finish reason."""
    reason: FinishReason = "stop"
    with closing(ids):
        while not text.stopped:
            try:
                token = next(ids)
            except StopIteration as end:
                reason = end.value
                break
            if piece := text.push(token):
                yield piece
        if piece := text.flush():
            yield piece
    return reason
