"""From the pieces of a request to its response: one body, or a stream of chunks."""

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


class ResponseBuilder(Protocol):
    """Builds the responses of one endpoint: chat completions or completions."""

    def build_start(self, index: int) -> BaseModel | None:
        """The chunk before the first piece of a row, or None."""

    def build_chunk(self, piece: Piece) -> BaseModel | None:
        """The chunk of a piece, or None if it adds nothing."""

    def build_usage(self, usage: Usage) -> BaseModel:
        """The last chunk, with the token counts."""

    def build_body(self, rows: list[list[Piece]], usage: Usage) -> BaseModel:
        """The whole response to all rows."""


async def stream_events(
    builder: ResponseBuilder,
    rows: list[RowRequest],
    pieces: AsyncIterator[Piece],
    include_usage: bool,
) -> AsyncIterator[bytes]:
    """Yields server-sent events: the chunks, then [DONE]; or an error if the engine stops."""
    n_generated = 0
    for index in range(len(rows)):
        if start := builder.build_start(index):
            yield _format_event(start, include_usage)
    try:
        async for piece in pieces:
            n_generated += _count_tokens(piece)
            if chunk := builder.build_chunk(piece):
                yield _format_event(chunk, include_usage)
    except ApiError as error:
        yield _format_event(error.body, True)
        return
    if include_usage:
        yield _format_event(builder.build_usage(count_usage(rows, n_generated)), True)
    yield DONE


async def collect_response(
    builder: ResponseBuilder, rows: list[RowRequest], pieces: AsyncIterator[Piece]
) -> BaseModel:
    """The whole body once all rows have ended. Raises ApiError if the engine stops."""
    pieces_of_rows: list[list[Piece]] = [[] for _ in rows]
    n_generated = 0
    async for piece in pieces:
        pieces_of_rows[piece.index].append(piece)
        n_generated += _count_tokens(piece)
    return builder.build_body(pieces_of_rows, count_usage(rows, n_generated))


def count_usage(rows: list[RowRequest], n_generated: int) -> Usage:
    """The tokens of a request; the prompt of n replies counts once."""
    n_prompt = sum(len(row.request.prompt_ids) for row in rows if row.copy == 0)
    return Usage(
        prompt_tokens=n_prompt,
        completion_tokens=n_generated,
        total_tokens=n_prompt + n_generated,
    )


def make_head(served: ServedModel, prefix: str) -> dict[str, Any]:
    """The fields that every chunk of a response repeats, with a new id."""
    return {
        "id": f"{prefix}-{secrets.token_hex(12)}",
        "created": int(time()),
        "model": served.name,
        "system_fingerprint": served.fingerprint,
    }


def find_finish_reason(pieces: list[Piece]) -> FinishReason:
    """The reason in the last piece of a row that has ended."""
    reason = pieces[-1].finish
    assert reason is not None
    return reason


def _count_tokens(piece: Piece) -> int:
    return int(piece.sampled is not None and piece.sampled.token is not None)


def _format_event(chunk: BaseModel, with_usage: bool) -> bytes:
    text = chunk.model_dump_json(exclude=None if with_usage else {"usage"})
    return b"data: " + text.encode() + b"\n\n"
