"""The inference engine: one thread owns the model, and the rows of all requests share its batch.

    event loop     submit -> RequestHandle   async for piece in handle   close
                     |                          ^                          |
                   queue     pieces, by call_soon_threadsafe      seen before the next step
                     v                          |                          v
    engine thread  join -------------------- step ---------------------- leave

A handle's outbox has room for everything its rows can generate, so the batch never waits for a
reader.
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
PromptLogprobs = list[tuple[float | None, TopLogprobs]]  # one for each id of the prompt
ScorePrompt = Callable[[tuple[int, ...], int], PromptLogprobs]
STOPPING = ApiError(503, "the server is stopping; try again later", code="server_stopping")
FAILED = ApiError(
    503, "the model failed and the server is stopping; see its log", code="engine_died"
)


@dataclass(frozen=True)
class RowRequest:
    """One row of a request: the `copy`-th reply to its prompt.

    `prompt_logprobs`: report the log-probability of each prompt id and of this many top ids.
    `prompt_only`: generate nothing. `hidden`: first ids of the prompt that the client did not send.
    """

    request: GenerationRequest
    stop_strings: tuple[str, ...] = ()
    copy: int = 0
    prompt_logprobs: int | None = None
    prompt_only: bool = False
    hidden: int = 0


@dataclass(frozen=True)
class Piece:
    """One step of the index-th row: new text (often none), the sampled token, the finish reason."""

    index: int
    text: str = ""
    sampled: SampledToken | None = None
    finish: FinishReason | None = None
    prompt_logprobs: PromptLogprobs | None = None


class RequestHandle:
    """One open request; iterate over it for its pieces in the order of their generation."""

    def __init__(self, engine: "InferenceEngine", client: str, rows: Sequence[RowRequest]) -> None:
        self.engine = engine
        self.client = client
        self.closed = False
        self.unfinished_rows = len(rows)
        self._n_rows = len(rows)
        self._loop = asyncio.get_running_loop()
        capacity = sum(row.request.sampling.max_new_tokens + 2 for row in rows)
        self._outbox: asyncio.Queue[Piece | ApiError] = asyncio.Queue(capacity + 2)

    async def __aiter__(self) -> AsyncIterator[Piece]:
        """Yields pieces until every row has ended. Raises ApiError if the engine stops before."""
        finished = 0
        while finished < self._n_rows:
            piece = await self._outbox.get()
            if isinstance(piece, ApiError):
                raise piece
            finished += piece.finish is not None
            yield piece

    def put(self, piece: Piece | ApiError) -> None:
        """Deliver a piece from any thread."""
        self._loop.call_soon_threadsafe(self._outbox.put_nowait, piece)

    def close(self) -> None:
        """Cancel the request: rows that are still running leave before the next step."""
        self.engine.cancel(self)


@dataclass
class _ActiveRow:
    """A row, its request, and its text so far."""

    handle: RequestHandle
    index: int
    row: RowRequest
    detokenizer: Detokenizer


@dataclass
class EngineLoad:
    """Rows running and waiting now, and totals since the start."""

    running: int = 0
    waiting: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    steps: int = 0


class InferenceEngine:
    """Runs requests on a batch of `streams` rows, with at most `waiting` more in the queue."""

    def __init__(
        self,
        batcher: Batcher,
        score_prompt: ScorePrompt,
        tokenizer: Tokenizer,
        streams: int,
        waiting: int,
    ) -> None:
        self.failure: BaseException | None = None
        self.load = EngineLoad()
        self.streams = streams
        self._max_rows = streams + waiting
        self._batcher = batcher
        self._score_prompt = score_prompt
        self._tokenizer = tokenizer
        self._condition = threading.Condition()  # guards what follows
        self._queue: FairQueue[_ActiveRow] = FairQueue()
        self._active: dict[int, _ActiveRow] = {}  # by row number in the batch
        self._handles: set[RequestHandle] = set()
        self._stop_error: ApiError | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the engine's thread."""
        self._thread.start()

    def stop(self, within_s: float) -> None:
        """Stop after the current step; open requests get an error."""
        with self._condition:
            self._stop_error = self._stop_error or STOPPING
            self._condition.notify()
        if self._thread.ident is not None:
            self._thread.join(within_s)

    def submit(self, client: str, rows: Sequence[RowRequest]) -> RequestHandle:
        """Queue the rows of a request. Raises ApiError if too many are open, or on stopping."""
        with self._condition:
            if self._stop_error is not None:
                raise self._stop_error
            open_rows = sum(handle.unfinished_rows for handle in self._handles)
            if open_rows + len(rows) > self._max_rows:
                headers = {"Retry-After": "1"}
                raise ApiError(429, "too many requests; try again in a second", headers=headers)
            handle = RequestHandle(self, client, rows)
            self._handles.add(handle)
            for index, row in enumerate(rows):
                detokenizer = Detokenizer(self._tokenizer, row.stop_strings)
                self._queue.add(client, _ActiveRow(handle, index, row, detokenizer))
            self._condition.notify()
        return handle

    def cancel(self, handle: RequestHandle) -> None:
        """Free the rows of a request, before the next step at the latest."""
        with self._condition:
            handle.closed = True
            self._handles.discard(handle)
            self._queue.drop(handle.client, lambda active: active.handle is handle)
            self._condition.notify()

    def _run(self) -> None:
        try:
            while self._run_step():
                pass
        except BaseException as error:
            log.exception("the engine failed")
            self.failure = error
        with self._condition:
            self._stop_error = self._stop_error or FAILED
            handles, self._handles = self._handles, set()
        for handle in handles:
            handle.put(self._stop_error)

    def _run_step(self) -> bool:
        """Wait for work and do one step of it; False once the engine is to stop."""
        with self._condition:
            while not (self._stop_error or self._active or len(self._queue)):
                self._condition.wait()
            if self._stop_error:
                return False
            closed = [number for number, active in self._active.items() if active.handle.closed]
            for number in closed:
                self._batcher.leave(number)
                del self._active[number]
            n_joining = min(self._batcher.free_rows, len(self._queue))
            joining = [self._queue.take() for _ in range(n_joining)]
        for active in joining:
            self._join(active)
        for sampled in self._batcher.step() if self._active else ():
            self._deliver_token(sampled)
        self.load.steps += 1
        self.load.running = len(self._active)
        self.load.waiting = len(self._queue)
        return True

    def _join(self, active: _ActiveRow) -> None:
        row = active.row
        self.load.prompt_tokens += len(row.request.prompt_ids)
        if not row.prompt_only:
            self._active[self._batcher.join(row.request)] = active
        scores = None
        if row.prompt_logprobs is not None:
            scores = self._score_prompt(row.request.prompt_ids, row.prompt_logprobs)
        if row.prompt_only:
            self._deliver(active, Piece(active.index, finish="length", prompt_logprobs=scores))
        elif scores is not None:
            self._deliver(active, Piece(active.index, prompt_logprobs=scores))

    def _deliver_token(self, sampled: SampledToken) -> None:
        """Deliver a sampled token as text; a stop string ends the row like an end token."""
        active = self._active[sampled.row]
        text = "" if sampled.token is None else active.detokenizer.push(sampled.token)
        finish: FinishReason | None = "stop" if active.detokenizer.stopped else sampled.finish
        if finish is not None:
            text += active.detokenizer.flush()
            self._batcher.leave(sampled.row)
            del self._active[sampled.row]
        self.load.generated_tokens += sampled.token is not None
        self._deliver(active, Piece(active.index, text, sampled, finish))

    def _deliver(self, active: _ActiveRow, piece: Piece) -> None:
        if piece.finish is not None:
            with self._condition:
                active.handle.unfinished_rows -= 1
                if not active.handle.unfinished_rows:
                    self._handles.discard(active.handle)
        active.handle.put(piece)
