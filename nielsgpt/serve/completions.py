"""Responses of /v1/completions."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from nielsgpt.inference.sampling import TopLogprobs
from nielsgpt.serve.engine import Piece, RowRequest
from nielsgpt.serve.prepare import ServedModel
from nielsgpt.serve.responses import (
    Completion,
    CompletionChoice,
    CompletionLogprobs,
    TextOffsets,
    Usage,
    format_token,
)
from nielsgpt.serve.streaming import find_finish_reason, make_head


@dataclass
class CompletionBuilder:
    """Builds continuations of texts, after their prompts if these are to be echoed.

    The log-probabilities include the end token, as evaluation harnesses expect.
    """

    served: ServedModel
    rows: list[RowRequest]
    echo: bool
    head: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.head = make_head(self.served, "cmpl")
        self._offsets = [TextOffsets(self.served.tokenizer) for _ in self.rows]

    def build_start(self, index: int) -> BaseModel | None:
        """The prompt, if it is echoed without log-probabilities."""
        if not self.echo or self.rows[index].prompt_logprobs is not None:
            return None
        return self._build_chunk(CompletionChoice(index=index, text=self._decode_prompt(index)))

    def build_chunk(self, piece: Piece) -> BaseModel | None:
        """The text, and in the last chunk the finish reason."""
        logprobs = self._build_logprobs([piece])
        text = piece.text if piece.prompt_logprobs is None else self._decode_prompt(piece.index)
        if not (text or piece.finish or (logprobs and logprobs.tokens)):
            return None
        return self._build_chunk(
            CompletionChoice(
                index=piece.index, text=text, logprobs=logprobs, finish_reason=piece.finish
            )
        )

    def build_usage(self, usage: Usage) -> BaseModel:
        """A chunk without choices."""
        return Completion(**self.head, choices=[], usage=usage)

    def build_body(self, rows: list[list[Piece]], usage: Usage) -> BaseModel:
        """One choice for each row."""
        choices = []
        for index, row in enumerate(rows):
            prompt = self._decode_prompt(index) if self.echo else ""
            choices.append(
                CompletionChoice(
                    index=index,
                    text=prompt + "".join(piece.text for piece in row),
                    logprobs=self._build_logprobs(row),
                    finish_reason=find_finish_reason(row),
                )
            )
        return Completion(**self.head, choices=choices, usage=usage)

    def _build_chunk(self, choice: CompletionChoice) -> Completion:
        return Completion(**self.head, choices=[choice])

    def _decode_prompt(self, index: int) -> str:
        return self.served.tokenizer.decode(self.rows[index].request.prompt_ids)

    def _build_logprobs(self, row: list[Piece]) -> CompletionLogprobs | None:
        index = row[0].index
        if self.rows[index].request.logprobs is None:
            return None
        logprobs = CompletionLogprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
        for token, logprob, top in self._list_tokens(index, row):
            text = format_token(self.served.tokenizer, token)
            top_logprobs = None if logprob is None else self._build_top(top, text, logprob)
            logprobs.tokens.append(text)
            logprobs.token_logprobs.append(logprob)
            logprobs.text_offset.append(self._offsets[index].advance(token))
            logprobs.top_logprobs.append(top_logprobs)
        return logprobs

    def _list_tokens(
        self, index: int, row: list[Piece]
    ) -> Iterator[tuple[int, float | None, TopLogprobs]]:
        """The prompt's ids, where they have log-probabilities, then the sampled ids."""
        prompt_ids = self.rows[index].request.prompt_ids
        end = self.served.tokenizer.specials.end
        for piece in row:
            scored = zip(prompt_ids, piece.prompt_logprobs or (), strict=False)
            for token, (logprob, top) in itertools.islice(scored, self.rows[index].hidden, None):
                yield token, logprob, top
            sampled = piece.sampled
            if sampled is not None and sampled.logprob is not None:
                token = end if sampled.token is None else sampled.token
                yield token, sampled.logprob, sampled.top

    def _build_top(self, top: TopLogprobs, chosen: str, logprob: float) -> dict[str, float]:
        """The top tokens by their text, the first of equal texts, and the chosen token."""
        by_text: dict[str, float] = {}
        for token, top_logprob in top:
            by_text.setdefault(format_token(self.served.tokenizer, token), top_logprob)
        by_text.setdefault(chosen, logprob)
        return by_text
