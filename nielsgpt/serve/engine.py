"""The one thread that owns the model: rows of all requests draw together, each at its own pace.

    event loop    open -> Ticket      async for piece in ticket      close
                     |                     ^                           |
                   turns     pieces, by call_soon_threadsafe      seen before the next step
                     v                     |                           v
    this thread   join ------------------ step ------------------- leave

A ticket's outbox has room for all that its rows may ever say, so the batch waits for no reader.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from nielsgpt.inference.batcher import Batcher, FinishReason, GenerationRequest, SampledToken
from nielsgpt.inference.detokenizer import Detokenizer
from nielsgpt.inference.sampling import TopLogprobs
from nielsgpt.serve.api_errors import ApiError
from nielsgpt.serve.fair_queue import FairQueue
from nielsgpt.tokenizers.base import Tokenizer

log = logging.getLogger("nielsgpt")
Scores = list[
    tuple[float | None, TopLogprobs]
]  # of each id of a prompt: its log-probability, the top
Score = Callable[[tuple[int, ...], int], Scores]
STOPPING = ApiError(503, "the server is stopping; ask again later", code="server_stopping")
BROKEN = ApiError(503, "the model failed and the server ends; its log says why", code="engine_died")


@dataclass(frozen=True)
class RowRequest:
    """What is wanted of one row, the `copy`-th reply to its prompt.

    `scored`: how many likeliest ids to tell for each id of the prompt; a silent row draws nothing;
    `hidden`: how many first ids of the prompt stand before what was asked.
    """

    request: GenerationRequest
    stop_strings: tuple[str, ...] = ()
    copy: int = 0
    scored: int | None = None
    silent: bool = False
    hidden: int = 0


@dataclass(frozen=True)
class Piece:
    """What one step adds to the index-th row: text, often none; what was drawn; the end."""

    index: int
    text: str = ""
    drawn: SampledToken | None = None
    finish: FinishReason | None = None
    scores: Scores | None = None


class RequestHandle:
    """One open request: its pieces arrive in the order in which they were drawn."""

    def __init__(self, engine: "InferenceEngine", client: str, asks: Sequence[RowRequest]) -> None:
        self.engine, self.client, self.rows = engine, client, len(asks)
        self.closed = False
        self.left = len(asks)  # rows that have not ended
        self._loop = asyncio.get_running_loop()
        room = sum(ask.request.sampling.max_new_tokens + 2 for ask in asks)
        self._outbox: asyncio.Queue[Piece | ApiError] = asyncio.Queue(room + 2)

    async def __aiter__(self) -> AsyncIterator[Piece]:
        """The pieces, until every row has ended. Raises Refusal when the engine stops before."""
        ended = 0
        while ended < self.rows:
            piece = await self._outbox.get()
            if isinstance(piece, ApiError):
                raise piece
            ended += piece.finish is not None
            yield piece

    def put(self, piece: Piece | ApiError) -> None:
        """Hand a piece over, from the engine's thread."""
        self._loop.call_soon_threadsafe(self._outbox.put_nowait, piece)

    def close(self) -> None:
        """Nobody listens any more: the rows that still speak leave before the next step."""
        self.engine.forget(self)


@dataclass
class _Seat:
    """A row and what it is part of."""

    ticket: RequestHandle
    index: int
    ask: RowRequest
    text: Detokenizer


@dataclass
class EngineLoad:
    """How busy the engine is, and what it has done so far."""

    running: int = 0
    waiting: int = 0
    prompt_tokens: int = 0
    drawn_tokens: int = 0
    steps: int = 0


class InferenceEngine:
    """Runs requests on a batch of `streams` rows; at most `waiting` more may wait."""

    def __init__(
        self, batcher: Batcher, score: Score, tokenizer: Tokenizer, streams: int, waiting: int
    ) -> None:
        self.failure: BaseException | None = None
        self.load = EngineLoad()
        self.streams = streams
        self._most = streams + waiting
        self._batcher, self._score, self._tokenizer = batcher, score, tokenizer
        self._changed = threading.Condition()
        self._turns: FairQueue[_Seat] = FairQueue()
        self._seats: dict[int, _Seat] = {}  # by the number of their row
        self._tickets: set[RequestHandle] = set()
        self._over: ApiError | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, within_s: float) -> None:
        """End after the step that runs; open requests are told so."""
        with self._changed:
            self._over = self._over or STOPPING
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(within_s)

    def open(self, client: str, asks: Sequence[RowRequest]) -> RequestHandle:
        """Let the rows of a request wait for their turn. Raises Refusal when too many do."""
        with self._changed:
            if self._over is not None:
                raise self._over
            if sum(ticket.left for ticket in self._tickets) + len(asks) > self._most:
                again = {"Retry-After": "1"}
                raise ApiError(429, "too many requests wait; ask again in a second", headers=again)
            ticket = RequestHandle(self, client, asks)
            self._tickets.add(ticket)
            for index, ask in enumerate(asks):
                text = Detokenizer(self._tokenizer, ask.stop_strings)
                self._turns.add(client, _Seat(ticket, index, ask, text))
            self._changed.notify()
        return ticket

    def forget(self, ticket: RequestHandle) -> None:
        """Free what a request has taken, before the next step at the latest."""
        with self._changed:
            ticket.closed = True
            self._tickets.discard(ticket)
            self._turns.drop(ticket.client, lambda seat: seat.ticket is ticket)
            self._changed.notify()

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:
            log.exception("the engine failed")
            self.failure = error
        with self._changed:
            self._over = self._over or BROKEN
            told, self._tickets = self._tickets, set()
        for ticket in told:
            ticket.put(self._over)

    def _turn(self) -> bool:
        """Wait for work and do one step of it; False when it is over."""
        with self._changed:
            while not (self._over or self._seats or len(self._turns)):
                self._changed.wait()
            if self._over:
                return False
            left = [row for row, seat in self._seats.items() if seat.ticket.closed]
            for row in left:
                self._batcher.leave(row)
                del self._seats[row]
            free = self._batcher.free_rows
            joining = [self._turns.take() for _ in range(min(free, len(self._turns)))]
        for seat in joining:
            self._join(seat)
        for drawn in self._batcher.step() if self._seats else ():
            self._tell(drawn)
        self.load.steps += 1
        self.load.running, self.load.waiting = len(self._seats), len(self._turns)
        return True

    def _join(self, seat: _Seat) -> None:
        ids = seat.ask.request.prompt_ids
        self.load.prompt_tokens += len(ids)
        if not seat.ask.silent:
            self._seats[self._batcher.join(seat.ask.request)] = seat
        scored = None if seat.ask.scored is None else self._score(ids, seat.ask.scored)
        if seat.ask.silent:
            self._hand_over(seat, Piece(seat.index, finish="length", scores=scored))
        elif scored is not None:
            self._hand_over(seat, Piece(seat.index, scores=scored))

    def _tell(self, drawn: SampledToken) -> None:
        """Hand over what a row has drawn; a stop string ends it as an end token does."""
        seat = self._seats[drawn.row]
        text = "" if drawn.token is None else seat.text.push(drawn.token)
        finish: FinishReason | None = "stop" if seat.text.stopped else drawn.finish
        if finish is not None:
            text += seat.text.flush()
            self._batcher.leave(drawn.row)
            del self._seats[drawn.row]
        self.load.drawn_tokens += drawn.token is not None
        self._hand_over(seat, Piece(seat.index, text, drawn, finish))

    def _hand_over(self, seat: _Seat, piece: Piece) -> None:
        if piece.finish is not None:
            with self._changed:
                seat.ticket.left -= 1
                if not seat.ticket.left:
                    self._tickets.discard(seat.ticket)
        seat.ticket.put(piece)
