"""How a text is continued."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from nielsgpt.inference.sampling import TopLogprobs
from nielsgpt.serve.engine import Piece, RowRequest
from nielsgpt.serve.prepare import ServedModel
from nielsgpt.serve.responses import Completion, CompletionChoice, CompletionLogprobs, Usage
from nielsgpt.serve.streaming import head, reason_of
from nielsgpt.serve.token_text import TextOffsets, token_text


@dataclass
class CompletionForm:
    """Continuations of texts, with the prompt before them where it is to be echoed.

    The log-probabilities tell the end token too: who scores a text counts on one token more.
    """

    served: ServedModel
    asks: list[RowRequest]
    echo: bool
    head: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.head = head(self.served, "cmpl")
        self._offsets = [TextOffsets(self.served.tokenizer) for _ in self.asks]

    def opening(self, index: int) -> BaseModel | None:
        """The prompt, where it is told again and not scored."""
        if not self.echo or self.asks[index].scored is not None:
            return None
        return self._chunk(CompletionChoice(index=index, text=self._prompt_text(index)))

    def chunk(self, piece: Piece) -> BaseModel | None:
        """The text, and with the last one the reason of the end."""
        logprobs = self._logprobs([piece])
        text = piece.text if piece.scores is None else self._prompt_text(piece.index)
        if not (text or piece.finish or (logprobs and logprobs.tokens)):
            return None
        finish = piece.finish
        choice = CompletionChoice(
            index=piece.index, text=text, logprobs=logprobs, finish_reason=finish
        )
        return self._chunk(choice)

    def counted(self, usage: Usage) -> BaseModel:
        """A chunk without choices."""
        return Completion(**self.head, choices=[], usage=usage)

    def whole(self, rows: list[list[Piece]], usage: Usage) -> BaseModel:
        """A text for each row."""
        choices = []
        for index, row in enumerate(rows):
            before = self._prompt_text(index) if self.echo else ""
            text = before + "".join(piece.text for piece in row)
            logprobs, reason = self._logprobs(row), reason_of(row)
            choices.append(
                CompletionChoice(index=index, text=text, logprobs=logprobs, finish_reason=reason)
            )
        return Completion(**self.head, choices=choices, usage=usage)

    def _chunk(self, choice: CompletionChoice) -> Completion:
        return Completion(**self.head, choices=[choice])

    def _prompt_text(self, index: int) -> str:
        return self.served.tokenizer.decode(self.asks[index].request.prompt_ids)

    def _logprobs(self, row: list[Piece]) -> CompletionLogprobs | None:
        index = row[0].index
        if self.asks[index].request.logprobs is None:
            return None
        told = CompletionLogprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
        for token, logprob, top in self._steps(index, row):
            name = token_text(self.served.tokenizer, token)
            told.tokens.append(name)
            told.token_logprobs.append(logprob)
            told.text_offset.append(self._offsets[index].before(token))
            told.top_logprobs.append(None if logprob is None else self._ranked(top, name, logprob))
        return told

    def _steps(
        self, index: int, row: list[Piece]
    ) -> Iterator[tuple[int, float | None, TopLogprobs]]:
        """The ids of the prompt where they are scored, then those that were drawn."""
        ids, hidden = self.asks[index].request.prompt_ids, self.asks[index].hidden
        end = self.served.tokenizer.specials.end
        for piece in row:
            scored = zip(ids, piece.scores or (), strict=False)
            for token, (logprob, top) in itertools.islice(scored, hidden, None):
                yield token, logprob, top
            if piece.drawn is not None and piece.drawn.logprob is not None:
                drawn = piece.drawn
                yield end if drawn.token is None else drawn.token, drawn.logprob, drawn.top

    def _ranked(self, top: TopLogprobs, own: str, logprob: float) -> dict[str, float]:
        """The likeliest by their text, the first of those that are spelled alike; and the own."""
        ranked: dict[str, float] = {}
        for token, likely in top:
            ranked.setdefault(token_text(self.served.tokenizer, token), likely)
        ranked.setdefault(own, logprob)
        return ranked
