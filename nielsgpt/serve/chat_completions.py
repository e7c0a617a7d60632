"""How a conversation is answered."""

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
)
from nielsgpt.serve.streaming import head, reason_of
from nielsgpt.serve.token_text import token_text


@dataclass
class ChatCompletionForm:
    """Answers to conversations. The end token is no part of a reply."""

    served: ServedModel
    with_logprobs: bool
    head: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.head = head(self.served, "chatcmpl")

    def opening(self, index: int) -> BaseModel:
        """Who speaks."""
        return self._chunk(index, Delta(role="assistant", content=""))

    def chunk(self, piece: Piece) -> BaseModel | None:
        """The text, and with the last one the reason of the end."""
        logprobs = self._logprobs([piece])
        if not (piece.text or piece.finish or (logprobs and logprobs.content)):
            return None
        delta = Delta(content=piece.text) if piece.text or not piece.finish else Delta()
        return self._chunk(piece.index, delta, logprobs, piece.finish)

    def counted(self, usage: Usage) -> BaseModel:
        """A chunk without choices."""
        return ChatCompletionChunk(**self.head, choices=[], usage=usage)

    def whole(self, rows: list[list[Piece]], usage: Usage) -> BaseModel:
        """A message for each row."""
        choices = [
            ChatChoice(
                index=index,
                message=AssistantMessage(content="".join(piece.text for piece in row)),
                logprobs=self._logprobs(row),
                finish_reason=reason_of(row),
            )
            for index, row in enumerate(rows)
        ]
        return ChatCompletion(**self.head, choices=choices, usage=usage)

    def _chunk(
        self,
        index: int,
        delta: Delta,
        logprobs: ChatLogprobs | None = None,
        finish: FinishReason | None = None,
    ) -> ChatCompletionChunk:
        choice = ChatChunkChoice(index=index, delta=delta, logprobs=logprobs, finish_reason=finish)
        return ChatCompletionChunk(**self.head, choices=[choice])

    def _logprobs(self, row: list[Piece]) -> ChatLogprobs | None:
        if not self.with_logprobs:
            return None
        told = []
        for drawn in (piece.drawn for piece in row):
            if drawn is not None and drawn.token is not None and drawn.logprob is not None:
                top = [self._likely(*pair) for pair in drawn.top]
                own = self._likely(drawn.token, drawn.logprob)
                told.append(TokenLogprob(**own.model_dump(), top_logprobs=top))
        return ChatLogprobs(content=told)

    def _likely(self, token: int, logprob: float) -> TopLogprob:
        tokenizer = self.served.tokenizer
        spelling = list(tokenizer.decode_bytes([token])) or None
        return TopLogprob(token=token_text(tokenizer, token), logprob=logprob, bytes=spelling)
