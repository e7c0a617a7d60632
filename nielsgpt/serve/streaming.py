"""From the pieces of a request to what its client is sent: one body, or one chunk after another."""

import secrets
from collections.abc import AsyncIterator
from time import time
from typing import Any, Protocol

from pydantic import BaseModel

from nielsgpt.serve.api_errors import ApiError
from nielsgpt.serve.engine import Piece, RowRequest
from nielsgpt.serve.prepare import ServedModel
from nielsgpt.serve.responses import FinishReason, Usage

DONE = b"data: [DONE]\n\n"


class ResponseForm(Protocol):
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
    form: ResponseForm, asks: list[RowRequest], pieces: AsyncIterator[Piece], include_usage: bool
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
    except ApiError as refusal:
        yield _event(refusal.reply, True)
        return
    if include_usage:
        yield _event(form.counted(usage_of(asks, count)), True)
    yield DONE


async def answer(
    form: ResponseForm, asks: list[RowRequest], pieces: AsyncIterator[Piece]
) -> BaseModel:
    """The whole body, when all rows have ended. Raises Refusal where the engine stopped."""
    rows: list[list[Piece]] = [[] for _ in asks]
    async for piece in pieces:
        rows[piece.index].append(piece)
    count = sum(_tokens(piece) for row in rows for piece in row)
    return form.whole(rows, usage_of(asks, count))


def usage_of(asks: list[RowRequest], count: int) -> Usage:
    """The tokens of a request; n replies to one prompt read it once."""
    read = sum(len(ask.request.prompt_ids) for ask in asks if ask.copy == 0)
    return Usage(prompt_tokens=read, completion_tokens=count, total_tokens=read + count)


def _tokens(piece: Piece) -> int:
    return int(piece.drawn is not None and piece.drawn.token is not None)


def _event(chunk: BaseModel, with_usage: bool) -> bytes:
    text = chunk.model_dump_json(exclude=None if with_usage else {"usage"})
    return b"data: " + text.encode() + b"\n\n"


def head(served: ServedModel, prefix: str) -> dict[str, Any]:
    """What every chunk of a reply begins with, under a new id."""
    return {
        "id": f"{prefix}-{secrets.token_hex(12)}",
        "created": int(time()),
        "model": served.name,
        "system_fingerprint": served.fingerprint,
    }


def reason_of(row: list[Piece]) -> FinishReason:
    """Why a row has ended."""
    reason = row[-1].finish
    assert reason is not None
    return reason
