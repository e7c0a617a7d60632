"""From the pieces of a request to what its client is sent: one body, or one chunk after another."""

import codecs
import itertools
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from time import time
from typing import Any, Protocol

from pydantic import BaseModel

from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.inference.sampling import Ranking
from nielsgpt.serve.asking import Served
from nielsgpt.serve.engine import Ask, Piece
from nielsgpt.serve.refusal import Refusal
from nielsgpt.serve.replies import (
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatLogprobs,
    ChatReply,
    Delta,
    FinishReason,
    Likely,
    Said,
    TextChoice,
    TextLogprobs,
    TextReply,
    Told,
    Usage,
)
from nielsgpt.tokenizers.base import Tokenizer

DONE = b"data: [DONE]\n\n"


class Form(Protocol):
    """A way to answer: of chats, of texts."""

    def opening(self, index: int) -> BaseModel | None:
        """The chunk before the first piece of a row, if there is one."""

    def chunk(self, piece: Piece) -> BaseModel | None:
        """The chunk of a piece, if it has anything to say."""

    def counted(self, usage: Usage) -> BaseModel:
        """The chunk that counts the tokens."""

    def whole(self, rows: list[list[Piece]], usage: Usage) -> BaseModel:
        """The one body of all pieces of all rows."""


async def events(
    form: Form, asks: list[Ask], pieces: AsyncIterator[Piece], include_usage: bool
) -> AsyncIterator[bytes]:
    """Server-sent events: the chunks, then [DONE]; or an error where the engine stopped."""
    count = 0
    for index in range(len(asks)):
        if opening := form.opening(index):
            yield _event(opening, include_usage)
    try:
        async for piece in pieces:
            count += _tokens(piece)
            if chunk := form.chunk(piece):
                yield _event(chunk, include_usage)
    except Refusal as refusal:
        yield _event(refusal.reply, True)
        return
    if include_usage:
        yield _event(form.counted(usage_of(asks, count)), True)
    yield DONE


async def answer(form: Form, asks: list[Ask], pieces: AsyncIterator[Piece]) -> BaseModel:
    """The whole body, when all rows have ended. Raises Refusal where the engine stopped."""
    rows: list[list[Piece]] = [[] for _ in asks]
    async for piece in pieces:
        rows[piece.index].append(piece)
    count = sum(_tokens(piece) for row in rows for piece in row)
    return form.whole(rows, usage_of(asks, count))


def usage_of(asks: list[Ask], count: int) -> Usage:
    """The tokens of a request; n replies to one prompt read it once."""
    read = sum(len(ask.request.prompt_ids) for ask in asks if ask.copy == 0)
    return Usage(prompt_tokens=read, completion_tokens=count, total_tokens=read + count)


def _tokens(piece: Piece) -> int:
    return int(piece.drawn is not None and piece.drawn.token is not None)


def _event(chunk: BaseModel, with_usage: bool) -> bytes:
    text = chunk.model_dump_json(exclude=None if with_usage else {"usage"})
    return b"data: " + text.encode() + b"\n\n"


def head(served: Served, prefix: str) -> dict[str, Any]:
    """What every chunk of a reply begins with, under a new id."""
    return {
        "id": f"{prefix}-{secrets.token_hex(12)}",
        "created": int(time()),
        "model": served.name,
        "system_fingerprint": served.fingerprint,
    }


def spelled(tokenizer: Tokenizer, token: int) -> str:
    """An id as text; bytes that are no whole characters as bytes:\\xe2\\x96."""
    specials = tokenizer.specials
    four = (specials.system, specials.user, specials.assistant, specials.end)
    if token in four:
        return SPECIAL_TEXTS[four.index(token)]
    spelling = tokenizer.decode_bytes([token])
    try:
        return spelling.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelling)


@dataclass
class ChatForm:
    """Answers to conversations. The end token is no part of a reply."""

    served: Served
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
        return ChatChunk(**self.head, choices=[], usage=usage)

    def whole(self, rows: list[list[Piece]], usage: Usage) -> BaseModel:
        """A message for each row."""
        choices = [
            ChatChoice(
                index=index,
                message=Said(content="".join(piece.text for piece in row)),
                logprobs=self._logprobs(row),
                finish_reason=_reason(row),
            )
            for index, row in enumerate(rows)
        ]
        return ChatReply(**self.head, choices=choices, usage=usage)

    def _chunk(
        self,
        index: int,
        delta: Delta,
        logprobs: ChatLogprobs | None = None,
        finish: FinishReason | None = None,
    ) -> ChatChunk:
        choice = ChatChunkChoice(index=index, delta=delta, logprobs=logprobs, finish_reason=finish)
        return ChatChunk(**self.head, choices=[choice])

    def _logprobs(self, row: list[Piece]) -> ChatLogprobs | None:
        if not self.with_logprobs:
            return None
        told = []
        for drawn in (piece.drawn for piece in row):
            if drawn is not None and drawn.token is not None and drawn.logprob is not None:
                top = [self._likely(*pair) for pair in drawn.top]
                own = self._likely(drawn.token, drawn.logprob)
                told.append(Told(**own.model_dump(), top_logprobs=top))
        return ChatLogprobs(content=told)

    def _likely(self, token: int, logprob: float) -> Likely:
        tokenizer = self.served.tokenizer
        spelling = list(tokenizer.decode_bytes([token])) or None
        return Likely(token=spelled(tokenizer, token), logprob=logprob, bytes=spelling)


@dataclass
class TextForm:
    """Continuations of texts, with the prompt before them where it is to be echoed.

    The log-probabilities tell the end token too: who scores a text counts on one token more.
    """

    served: Served
    asks: list[Ask]
    echo: bool
    head: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.head = head(self.served, "cmpl")
        self._offsets = [_Offsets(self.served.tokenizer) for _ in self.asks]

    def opening(self, index: int) -> BaseModel | None:
        """The prompt, where it is told again and not scored."""
        if not self.echo or self.asks[index].scored is not None:
            return None
        return self._chunk(TextChoice(index=index, text=self._prompt_text(index)))

    def chunk(self, piece: Piece) -> BaseModel | None:
        """The text, and with the last one the reason of the end."""
        logprobs = self._logprobs([piece])
        text = piece.text if piece.scores is None else self._prompt_text(piece.index)
        if not (text or piece.finish or (logprobs and logprobs.tokens)):
            return None
        finish = piece.finish
        choice = TextChoice(index=piece.index, text=text, logprobs=logprobs, finish_reason=finish)
        return self._chunk(choice)

    def counted(self, usage: Usage) -> BaseModel:
        """A chunk without choices."""
        return TextReply(**self.head, choices=[], usage=usage)

    def whole(self, rows: list[list[Piece]], usage: Usage) -> BaseModel:
        """A text for each row."""
        choices = []
        for index, row in enumerate(rows):
            before = self._prompt_text(index) if self.echo else ""
            text = before + "".join(piece.text for piece in row)
            logprobs, reason = self._logprobs(row), _reason(row)
            choices.append(
                TextChoice(index=index, text=text, logprobs=logprobs, finish_reason=reason)
            )
        return TextReply(**self.head, choices=choices, usage=usage)

    def _chunk(self, choice: TextChoice) -> TextReply:
        return TextReply(**self.head, choices=[choice])

    def _prompt_text(self, index: int) -> str:
        return self.served.tokenizer.decode(self.asks[index].request.prompt_ids)

    def _logprobs(self, row: list[Piece]) -> TextLogprobs | None:
        index = row[0].index
        if self.asks[index].request.logprobs is None:
            return None
        told = TextLogprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
        for token, logprob, top in self._steps(index, row):
            name = spelled(self.served.tokenizer, token)
            told.tokens.append(name)
            told.token_logprobs.append(logprob)
            told.text_offset.append(self._offsets[index].before(token))
            told.top_logprobs.append(None if logprob is None else self._ranked(top, name, logprob))
        return told

    def _steps(self, index: int, row: list[Piece]) -> Iterator[tuple[int, float | None, Ranking]]:
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

    def _ranked(self, top: Ranking, own: str, logprob: float) -> dict[str, float]:
        """The likeliest by their text, the first of those that are spelled alike; and the own."""
        ranked: dict[str, float] = {}
        for token, likely in top:
            ranked.setdefault(spelled(self.served.tokenizer, token), likely)
        ranked.setdefault(own, logprob)
        return ranked


class _Offsets:
    """How many whole characters a text has before each of its tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._count = tokenizer, 0
        self._characters = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def before(self, token: int) -> int:
        """The place of the next token, which is this one."""
        place = self._count
        self._count += len(self._characters.decode(self._tokenizer.decode_bytes([token])))
        return place


def _reason(row: list[Piece]) -> FinishReason:
    reason = row[-1].finish
    assert reason is not None
    return reason
