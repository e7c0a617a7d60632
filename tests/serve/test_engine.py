"""The engine by itself: turns, limits, rows that are freed, what happens when it breaks."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.inference.batcher import Batcher, GenerationRequest, SampledToken
from nielsgpt.inference.sampling import make_generator
from nielsgpt.serve.api_errors import ApiError
from nielsgpt.serve.engine import InferenceEngine, RequestHandle, RowRequest
from nielsgpt.serve.fair_queue import FairQueue
from nielsgpt.tokenizers.byte import ByteTokenizer
from tests.serve.conftest import lively_model


class Counted(Batcher):
    """A batch that waits for a permit before each step and remembers what was drawn."""

    def __init__(self, rows: int) -> None:
        super().__init__(lively_model(), rows)
        self.permits = threading.Semaphore(0)
        self.drawn: list[SampledToken] = []
        self.done = threading.Semaphore(0)

    def step(self) -> list[SampledToken]:
        self.permits.acquire()
        drawn = super().step()
        self.drawn += drawn
        self.done.release()
        return drawn

    def let(self, steps: int) -> None:
        """Let so many steps happen."""
        for _ in range(steps):
            self.permits.release()
            assert self.done.acquire(timeout=10)


class Broken(Batcher):
    """A batch whose first step fails."""

    def __init__(self) -> None:
        super().__init__(lively_model(), 4)

    def step(self) -> list[SampledToken]:
        raise RuntimeError("the device is gone")


def ask(index: int = 0, tokens: int = 100, prompt: str = "The keeper") -> RowRequest:
    sampling = GenerationSettings(max_new_tokens=tokens, temperature=1.0)
    ids = tuple(ByteTokenizer().encode(prompt))
    return RowRequest(GenerationRequest(ids, sampling, make_generator(1, index)))


@contextmanager
def running(batcher: Batcher, streams: int, waiting: int = 8) -> Iterator[InferenceEngine]:
    engine = InferenceEngine(batcher, lambda ids, count: [], ByteTokenizer(), streams, waiting)
    engine.start()
    try:
        yield engine
    finally:
        if isinstance(batcher, Counted):
            for _ in range(1_000):
                batcher.permits.release()
        engine.stop(10)


@asynccontextmanager
async def opened(
    engine: InferenceEngine, rows: int, client: str = "a"
) -> AsyncIterator[RequestHandle]:
    ticket = engine.open(client, [ask(index) for index in range(rows)])
    try:
        yield ticket
    finally:
        ticket.close()


def test_clients_take_turns_and_each_keeps_its_order() -> None:
    turns: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "a3", "b1", "c1", "b2"):
        turns.add(item[0], item)
    assert len(turns) == 6
    assert [turns.take() for _ in range(6)] == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert len(turns) == 0


def test_what_is_dropped_leaves_the_others_in_their_order() -> None:
    turns: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "b1", "a3"):
        turns.add(item[0], item)
    turns.drop("a", lambda item: item == "a1")
    turns.drop("nobody", lambda item: True)
    turns.drop("b", lambda item: True)
    assert [turns.take() for _ in range(len(turns))] == ["a2", "a3"]


def test_a_closed_request_draws_nothing_after_the_step_that_runs() -> None:
    async def scenario() -> None:
        batcher = Counted(4)
        with running(batcher, 4) as engine:
            async with opened(engine, 2) as ticket:
                await asyncio.to_thread(batcher.let, 3)
                assert len(batcher.drawn) == 6
                other = engine.open("b", [ask(7)])
                await asyncio.to_thread(batcher.let, 1)
                ticket.close()
                before = {drawn.row for drawn in batcher.drawn[:2]}
                start = len(batcher.drawn)
                await asyncio.to_thread(batcher.let, 4)
                # The step that waited for its permit had begun.
                late = [drawn for drawn in batcher.drawn[start:] if drawn.row in before]
                assert len(late) <= 2
                assert len(batcher.drawn[start:]) - len(late) >= 3
                assert batcher.free_rows == 3
                other.close()

    asyncio.run(scenario())


def test_a_request_that_is_closed_before_its_turn_is_never_read() -> None:
    async def scenario() -> None:
        batcher = Counted(2)
        with running(batcher, 2, 100) as engine:
            tickets = [engine.open("a", [ask(n)]) for n in range(20)]
            await asyncio.to_thread(batcher.let, 1)
            for ticket in tickets:
                ticket.close()
            last = engine.open("a", [ask(50, 2)])
            heard = asyncio.ensure_future(anext(aiter(last)))
            for _ in range(4):
                batcher.permits.release()
            await asyncio.wait_for(heard, 5)
            assert engine.load.prompt_tokens <= 3 * len(ask().request.prompt_ids)

    asyncio.run(scenario())


def test_64_abandoned_requests_leave_an_empty_batch() -> None:
    async def scenario() -> None:
        batcher = Batcher(lively_model(), 64)
        with running(batcher, 64, 64) as engine:
            tickets = [engine.open(str(n % 5), [ask(n, 200)]) for n in range(128)]
            async for _ in tickets[0]:
                break
            for ticket in tickets:
                ticket.close()
            async with opened(engine, 1) as last:
                async for _ in last:
                    pass
            assert batcher.free_rows == 64
            assert len(engine._turns) == 0

    asyncio.run(scenario())


def test_the_129th_request_is_told_to_come_back() -> None:
    async def scenario() -> None:
        with running(Counted(64), 64, 64) as engine:
            tickets = [engine.open("a", [ask(n)]) for n in range(128)]
            with pytest.raises(ApiError) as refused:
                engine.open("b", [ask()])
            assert refused.value.status_code == 429
            assert refused.value.headers == {"Retry-After": "1"}
            tickets[100].close()
            engine.open("b", [ask()]).close()
            with pytest.raises(ApiError):
                engine.open("b", [ask(), ask(1)])

    asyncio.run(scenario())


def test_a_newcomer_does_not_stand_behind_all_that_another_wants() -> None:
    async def scenario() -> None:
        batcher = Counted(2)
        with running(batcher, 2, 100) as engine:
            greedy = [engine.open("a", [ask(n, 2)]) for n in range(20)]
            await asyncio.to_thread(batcher.let, 1)
            honest = engine.open("b", [ask(50, 2)])
            heard = asyncio.ensure_future(anext(aiter(honest)))
            await asyncio.to_thread(batcher.let, 6)
            await asyncio.wait_for(heard, 5)
            for ticket in (*greedy, honest):
                ticket.close()

    asyncio.run(scenario())


def test_a_reader_that_reads_nothing_holds_nobody_up() -> None:
    async def scenario() -> None:
        with running(Batcher(lively_model(), 2), 2) as engine:
            async with opened(engine, 1) as idle, opened(engine, 1, "b") as busy:
                pieces = [piece async for piece in busy]
                assert pieces[-1].finish
                kept = [piece async for piece in idle]  # all of it is still there
                assert kept[-1].finish

    asyncio.run(scenario())


def test_stopping_tells_every_open_request() -> None:
    async def scenario() -> None:
        batcher = Counted(4)
        with running(batcher, 4) as engine:
            tickets = [engine.open("a", [ask(n)]) for n in range(6)]
            await asyncio.to_thread(batcher.let, 2)
            stopping = asyncio.create_task(asyncio.to_thread(engine.stop, 10))
            while engine._over is None:  # only then may the step that runs end
                await asyncio.sleep(0)
            batcher.permits.release()
            await stopping
            for ticket in tickets:
                with pytest.raises(ApiError, match="stopping"):
                    async for _ in ticket:
                        pass
            with pytest.raises(ApiError, match="stopping"):
                engine.open("a", [ask()])

    asyncio.run(scenario())


def test_a_broken_model_is_told_to_those_who_wait_and_to_all_who_come() -> None:
    async def scenario() -> None:
        with running(Broken(), 4) as engine:
            async with opened(engine, 1) as ticket:
                with pytest.raises(ApiError, match="the model failed") as refused:
                    async for _ in ticket:
                        pass
            assert refused.value.status_code == 503
            assert str(engine.failure) == "the device is gone"
            with pytest.raises(ApiError, match="the model failed"):
                engine.open("a", [ask()])

    asyncio.run(scenario())
