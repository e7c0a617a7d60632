"""API responses: the bodies and chunks of the OpenAI API, and tokens as text in them."""

import codecs
from typing import Literal

from pydantic import BaseModel
from typing_extensions import TypedDict

from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.tokenizers.base import Tokenizer

FinishReason = Literal["stop", "length"]


class Usage(BaseModel):
    """The token counts of a request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TopLogprob(BaseModel):
    """A likely token; `bytes` is null for a special token."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(TopLogprob):
    """A token of the reply, and the top tokens at its position."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(BaseModel):
    """The log-probabilities of a reply."""

    content: list[TokenLogprob]
    refusal: None = None


class AssistantMessage(BaseModel):
    """The message of a reply."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    """One of n replies."""

    index: int
    message: AssistantMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason


class Delta(TypedDict, total=False):
    """The new fields of a reply in a chunk; others are left out."""

    role: Literal["assistant"]
    content: str


class ChatChunkChoice(BaseModel):
    """One of n replies in a chunk."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None = None
    finish_reason: FinishReason | None = None


class ResponseHead(BaseModel):
    """The first fields of every body and chunk."""

    id: str
    created: int
    model: str
    system_fingerprint: str


class ChatCompletion(ResponseHead):
    """The replies to a conversation."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: list[ChatChoice]
    usage: Usage


class ChatCompletionChunk(ResponseHead):
    """A part of a streamed reply."""

    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: list[ChatChunkChoice]
    usage: Usage | None = None


class CompletionLogprobs(BaseModel):
    """The tokens of a text with their offsets and log-probabilities, as parallel lists."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(BaseModel):
    """One continuation, or a part of it in a chunk."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: FinishReason | None = None


class Completion(ResponseHead):
    """The continuations, or a part of one in a chunk."""

    object: Literal["text_completion"] = "text_completion"
    choices: list[CompletionChoice]
    usage: Usage | None = None


class ModelInfo(BaseModel):
    """The served model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["nielsgpt"] = "nielsgpt"
    context_length: int


class ModelList(BaseModel):
    """The list of the one served model."""

    object: Literal["list"] = "list"
    data: list[ModelInfo]


class Health(BaseModel):
    """The state of the server."""

    status: Literal["ok"] = "ok"


def format_token(tokenizer: Tokenizer, token: int) -> str:
    """An id as text; incomplete characters as bytes:\\xe2\\x96, like the OpenAI API."""
    specials = tokenizer.specials
    special_ids = (*specials.roles, specials.end)
    if token in special_ids:
        return SPECIAL_TEXTS[special_ids.index(token)]
    token_bytes = tokenizer.decode_bytes([token])
    try:
        return token_bytes.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token_bytes)


class TextOffsets:
    """The number of whole characters before each token of a text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def advance(self, token: int) -> int:
        """Move past the next token; returns its offset."""
        offset = self._offset
        self._offset += len(self._decoder.decode(self._tokenizer.decode_bytes([token])))
        return offset
