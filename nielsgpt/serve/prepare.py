"""From what a client asks to the rows of a batch: prompt ids, limits, sampling, generators."""

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from time import time
from typing import Any

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.conversation import Message, prompt
from nielsgpt.errors import TokenizerError
from nielsgpt.inference.batcher import GenerationRequest
from nielsgpt.inference.sampling import make_generator
from nielsgpt.serve.api_errors import ApiError
from nielsgpt.serve.engine import RowRequest
from nielsgpt.serve.history import arrange
from nielsgpt.serve.requests import ChatCompletionRequest, CompletionRequest, GenerateRequest
from nielsgpt.tokenizers.base import Tokenizer

DRAWING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")


@dataclass(frozen=True)
class ServedModel:
    """The model that is served, as far as questions and replies need to know it."""

    name: str
    fingerprint: str
    context_length: int
    tokenizer: Tokenizer
    generation: GenerationSettings
    created: int

    @classmethod
    def now(
        cls,
        name: str,
        fingerprint: str,
        context_length: int,
        tokenizer: Tokenizer,
        generation: GenerationSettings,
    ) -> "ServedModel":
        """A model that is served from now on."""
        return cls(name, fingerprint, context_length, tokenizer, generation, int(time()))


def chat_requests(served: ServedModel, question: ChatCompletionRequest) -> list[RowRequest]:
    """The n rows of a conversation. Raises Refusal."""
    check_model(served, question.model)
    if question.top_logprobs and not question.logprobs:
        raise ApiError(400, "top_logprobs needs logprobs", param="top_logprobs")
    ids = _chat_ids(served, question)
    most = question.max_completion_tokens or question.max_tokens
    wanted = (question.top_logprobs or 0) if question.logprobs else None
    return _asks(served, question, [ids], most, wanted)


def completion_requests(served: ServedModel, question: CompletionRequest) -> list[RowRequest]:
    """The n rows of each prompt, prompt by prompt. Raises Refusal."""
    check_model(served, question.model)
    if question.max_tokens == 0 and not question.echo:
        raise ApiError(400, "max_tokens 0 needs echo", param="max_tokens", code="invalid_value")
    prompts = [_text_ids(served, text) for text in question.prompts]
    hidden = int(isinstance(question.prompts[0], str))
    return _asks(served, question, prompts, question.max_tokens, question.logprobs, hidden)


def check_model(served: ServedModel, name: str | None) -> None:
    """Raises Refusal 404 for a model that is not served here."""
    if name is not None and name != served.name:
        raise ApiError(
            404,
            f"the model here is {served.name!r}; GET /v1/models lists it",
            param="model",
            code="model_not_found",
        )


def _asks(
    served: ServedModel,
    question: GenerateRequest,
    prompts: Sequence[tuple[int, ...]],
    most: int | None,
    logprobs: int | None,
    hidden: int = 0,
) -> list[RowRequest]:
    seed = secrets.randbits(63) if question.seed is None else question.seed
    stops = served.generation.stop_strings if question.stops is None else question.stops
    scored = logprobs if isinstance(question, CompletionRequest) and question.echo else None
    specials = served.tokenizer.specials
    asks: list[RowRequest] = []
    for ids, copy in itertools.product(prompts, range(question.n or 1)):
        how = _sampling(served, question, len(ids), most)
        generator = make_generator(seed, len(asks))
        request = GenerationRequest(ids, how, generator, (specials.end,), specials.roles, logprobs)
        asks.append(RowRequest(request, stops, copy, scored, silent=most == 0, hidden=hidden))
    return asks


def _sampling(
    served: ServedModel, question: GenerateRequest, prompt_tokens: int, most: int | None
) -> GenerationSettings:
    """The server's settings with what the question says; as many ids as there is room for.

    The last id that is drawn is not read again, so it needs no place.
    """
    over: dict[str, Any] = {name: getattr(question, name) for name in DRAWING}
    room = served.context_length - prompt_tokens + 1
    over["max_new_tokens"] = min(most or served.generation.max_new_tokens, room)
    return served.generation.model_copy(
        update={name: value for name, value in over.items() if value is not None}
    )


def _chat_ids(served: ServedModel, question: ChatCompletionRequest) -> tuple[int, ...]:
    messages = [
        Message("system" if turn.role == "developer" else turn.role, turn.text)
        for turn in question.messages
    ]
    _check_length(served, sum(_bytes(message.content) for message in messages), "messages")
    try:
        conversation, begun = arrange(messages)
        tokenizer = served.tokenizer
        ids = prompt(conversation, tokenizer.encode, tokenizer.specials) + tokenizer.encode(begun)
    except TokenizerError as error:
        raise ApiError(400, str(error), param="messages", code="invalid_value") from None
    return _fitting(served, ids, "messages")


def _text_ids(served: ServedModel, text: str | list[int]) -> tuple[int, ...]:
    """The ids of a text after the end token, which separates documents; ids as they are."""
    if isinstance(text, str):
        _check_length(served, _bytes(text), "prompt")
        text = [served.tokenizer.specials.end, *served.tokenizer.encode(text)]
    elif max(text) >= served.tokenizer.vocab_size:
        most = served.tokenizer.vocab_size - 1
        raise ApiError(400, f"prompt: ids go up to {most}", param="prompt", code="invalid_value")
    return _fitting(served, text, "prompt")


def _bytes(text: str) -> int:
    return len(text.encode("utf-8"))


def _check_length(served: ServedModel, size: int, param: str) -> None:
    """Raises Refusal for text that no number of tokens within the context can spell."""
    least = -(-size // int(served.tokenizer.byte_lengths.max()))
    if least > served.context_length:
        raise _too_long(served, f"at least {least}", param)


def _fitting(served: ServedModel, ids: Sequence[int], param: str) -> tuple[int, ...]:
    if len(ids) > served.context_length:
        raise _too_long(served, str(len(ids)), param)
    return tuple(ids)


def _too_long(served: ServedModel, tokens: str, param: str) -> ApiError:
    return ApiError(
        400,
        f"the context has {served.context_length} tokens and {param} needs {tokens}; shorten it",
        param=param,
        code="context_length_exceeded",
    )
