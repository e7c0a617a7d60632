"""From an API request to rows of the batch: message order, prompt ids, limits, sampling, seeds."""

import itertools
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import time
from typing import Any

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.conversation import Conversation, Message, prompt
from nielsgpt.errors import TokenizerError
from nielsgpt.inference.batcher import GenerationRequest
from nielsgpt.inference.sampling import make_generator
from nielsgpt.serve.api_errors import ApiError
from nielsgpt.serve.engine import RowRequest
from nielsgpt.serve.requests import ChatCompletionRequest, CompletionRequest, GenerateRequest
from nielsgpt.tokenizers.base import Tokenizer

SAMPLING_FIELDS = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")


@dataclass(frozen=True)
class ServedModel:
    """The served model, for requests and responses. `created` is in Unix seconds."""

    name: str
    fingerprint: str
    context_length: int
    tokenizer: Tokenizer
    generation: GenerationSettings
    created: int

    @classmethod
    def create(
        cls,
        name: str,
        fingerprint: str,
        context_length: int,
        tokenizer: Tokenizer,
        generation: GenerationSettings,
    ) -> "ServedModel":
        """A model that is served from now on."""
        return cls(name, fingerprint, context_length, tokenizer, generation, int(time()))


def prepare_chat(served: ServedModel, body: ChatCompletionRequest) -> list[RowRequest]:
    """The n rows of a conversation. Raises ApiError."""
    check_model(served, body.model)
    if body.top_logprobs and not body.logprobs:
        raise ApiError(400, "top_logprobs needs logprobs", param="top_logprobs")
    prompt_ids = _encode_chat(served, body)
    max_tokens = body.max_completion_tokens or body.max_tokens
    logprobs = (body.top_logprobs or 0) if body.logprobs else None
    return _build_rows(served, body, [prompt_ids], max_tokens, logprobs)


def prepare_completion(served: ServedModel, body: CompletionRequest) -> list[RowRequest]:
    """The n rows of each prompt, in order. Raises ApiError."""
    check_model(served, body.model)
    if body.max_tokens == 0 and not body.echo:
        raise ApiError(400, "max_tokens 0 needs echo", param="max_tokens", code="invalid_value")
    prompts = [_encode_prompt(served, text_or_ids) for text_or_ids in body.prompts]
    hidden = int(isinstance(body.prompts[0], str))
    return _build_rows(served, body, prompts, body.max_tokens, body.logprobs, hidden)


def check_model(served: ServedModel, name: str | None) -> None:
    """Raise ApiError 404 for a model that is not served here."""
    if name is not None and name != served.name:
        raise ApiError(
            404,
            f"the model here is {served.name!r}; GET /v1/models lists it",
            param="model",
            code="model_not_found",
        )


def arrange_messages(messages: Sequence[Message]) -> tuple[Conversation, str]:
    """The conversation in the order that the model knows, and the beginning of the reply, often "".

        system A, user B, user C, system D, assistant E
        ->  system "A, a blank line, D", user "B, a blank line, C"; the reply begins with E

    Clients send two messages of one role in a row, late system messages, a greeting of the
    assistant first, and a reply to continue last. No message is dropped. Raises ApiError without a
    user message.
    """
    system = _join(message for message in messages if message.role == "system")
    others = (message for message in messages if message.role != "system")
    turns = [
        Message(role, _join(group))
        for role, group in itertools.groupby(others, key=lambda message: message.role)
    ]
    if all(turn.role == "assistant" for turn in turns):
        text = "there is no user message; send one"
        raise ApiError(400, text, param="messages", code="invalid_value")
    if turns[0].role == "assistant":
        turns.insert(0, Message("user", ""))
    reply_start = turns.pop().content if turns[-1].role == "assistant" else ""
    first = [Message("system", system)] if system else []
    return Conversation((*first, *turns)), reply_start


def _join(messages: Iterable[Message]) -> str:
    return "\n\n".join(message.content for message in messages if message.content)


def _build_rows(
    served: ServedModel,
    body: GenerateRequest,
    prompts: Sequence[tuple[int, ...]],
    max_tokens: int | None,
    logprobs: int | None,
    hidden: int = 0,
) -> list[RowRequest]:
    seed = secrets.randbits(63) if body.seed is None else body.seed
    stops = served.generation.stop_strings if body.stops is None else body.stops
    echo = isinstance(body, CompletionRequest) and body.echo
    specials = served.tokenizer.specials
    rows: list[RowRequest] = []
    for ids, copy in itertools.product(prompts, range(body.n or 1)):
        request = GenerationRequest(
            ids,
            _build_sampling(served, body, len(ids), max_tokens),
            make_generator(seed, len(rows)),
            (specials.end,),
            specials.roles,
            logprobs,
        )
        rows.append(
            RowRequest(
                request,
                stops,
                copy,
                prompt_logprobs=logprobs if echo else None,
                prompt_only=max_tokens == 0,
                hidden=hidden,
            )
        )
    return rows


def _build_sampling(
    served: ServedModel, body: GenerateRequest, prompt_tokens: int, max_tokens: int | None
) -> GenerationSettings:
    """The server's settings with those of the request, and a length that fits into the context.

    The last sampled id is not read again, so it needs no position.
    """
    values: dict[str, Any] = {name: getattr(body, name) for name in SAMPLING_FIELDS}
    room = served.context_length - prompt_tokens + 1
    values["max_new_tokens"] = min(max_tokens or served.generation.max_new_tokens, room)
    return served.generation.model_copy(
        update={name: value for name, value in values.items() if value is not None}
    )


def _encode_chat(served: ServedModel, body: ChatCompletionRequest) -> tuple[int, ...]:
    messages = [
        Message("system" if message.role == "developer" else message.role, message.text)
        for message in body.messages
    ]
    _check_bytes(served, sum(_count_bytes(message.content) for message in messages), "messages")
    tokenizer = served.tokenizer
    try:
        conversation, reply_start = arrange_messages(messages)
        ids = prompt(conversation, tokenizer.encode, tokenizer.specials)
        ids = ids + tokenizer.encode(reply_start)
    except TokenizerError as error:
        raise ApiError(400, str(error), param="messages", code="invalid_value") from None
    return _check_tokens(served, ids, "messages")


def _encode_prompt(served: ServedModel, text_or_ids: str | list[int]) -> tuple[int, ...]:
    """The ids of a text after the end token, which separates documents; ids as they are."""
    tokenizer = served.tokenizer
    if isinstance(text_or_ids, str):
        _check_bytes(served, _count_bytes(text_or_ids), "prompt")
        ids = [tokenizer.specials.end, *tokenizer.encode(text_or_ids)]
    else:
        ids = text_or_ids
        if max(ids) >= tokenizer.vocab_size:
            text = f"prompt: the largest id is {tokenizer.vocab_size - 1}"
            raise ApiError(400, text, param="prompt", code="invalid_value")
    return _check_tokens(served, ids, "prompt")


def _count_bytes(text: str) -> int:
    return len(text.encode("utf-8"))


def _check_bytes(served: ServedModel, n_bytes: int, param: str) -> None:
    """Raise ApiError for a text too long for the context whatever its tokens, before encoding."""
    min_tokens = -(-n_bytes // int(served.tokenizer.byte_lengths.max()))
    if min_tokens > served.context_length:
        raise _too_long(served, f"at least {min_tokens}", param)


def _check_tokens(served: ServedModel, ids: Sequence[int], param: str) -> tuple[int, ...]:
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
