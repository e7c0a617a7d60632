"""Responses of /v1/chat/completions."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from nielsgpt.serve.engine import Piece
from nielsgpt.serve.prepare import ServedModel
from nielsgpt.serve.responses import (
    AssistantMessage,
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatLogprobs,
    Delta,
    FinishReason,
    TokenLogprob,
    TopLogprob,
    Usage,
    format_token,
)
from nielsgpt.serve.streaming import find_finish_reason, make_head


@dataclass
class ChatCompletionBuilder:
    """Builds replies to a conversation. The end token is not part of a reply."""

    served: ServedModel
    with_logprobs: bool
    head: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.head = make_head(self.served, "chatcmpl")

    def build_start(self, index: int) -> BaseModel:
        """The role."""
        return self._build_chunk(index, Delta(role="assistant", content=""))

    def build_chunk(self, piece: Piece) -> BaseModel | None:
        """The text, and in the last chunk the finish reason."""
        logprobs = self._build_logprobs([piece])
        if not (piece.text or piece.finish or (logprobs and logprobs.content)):
            return None
        delta = Delta(content=piece.text) if piece.text or not piece.finish else Delta()
        return self._build_chunk(piece.index, delta, logprobs, piece.finish)

    def build_usage(self, usage: Usage) -> BaseModel:
        """A chunk without choices."""
        return ChatCompletionChunk(**self.head, choices=[], usage=usage)

    def build_body(self, rows: list[list[Piece]], usage: Usage) -> BaseModel:
        """One choice for each row."""
        choices = [
            ChatChoice(
                index=index,
                message=AssistantMessage(content="".join(piece.text for piece in row)),
                logprobs=self._build_logprobs(row),
                finish_reason=find_finish_reason(row),
            )
            for index, row in enumerate(rows)
        ]
        return ChatCompletion(**self.head, choices=choices, usage=usage)

    def _build_chunk(
        self,
        index: int,
        delta: Delta,
        logprobs: ChatLogprobs | None = None,
        finish: FinishReason | None = None,
    ) -> ChatCompletionChunk:
        choice = ChatChunkChoice(index=index, delta=delta, logprobs=logprobs, finish_reason=finish)
        return ChatCompletionChunk(**self.head, choices=[choice])

    def _build_logprobs(self, row: list[Piece]) -> ChatLogprobs | None:
        if not self.with_logprobs:
            return None
        content = []
        for sampled in (piece.sampled for piece in row):
            if sampled is None or sampled.token is None or sampled.logprob is None:
                continue
            top = [self._build_logprob(*pair) for pair in sampled.top]
            chosen = self._build_logprob(sampled.token, sampled.logprob)
            content.append(TokenLogprob(**chosen.model_dump(), top_logprobs=top))
        return ChatLogprobs(content=content)

    def _build_logprob(self, token: int, logprob: float) -> TopLogprob:
        tokenizer = self.served.tokenizer
        token_bytes = list(tokenizer.decode_bytes([token])) or None
        return TopLogprob(token=format_token(tokenizer, token), logprob=logprob, bytes=token_bytes)
