"""The engine alone: fair order, limits, freed rows, failures."""

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


class PermittedBatcher(Batcher):
    """A batcher that waits for a permit before each step and records the sampled tokens."""

    def __init__(self, rows: int) -> None:
        super().__init__(lively_model(), rows)
        self.permits = threading.Semaphore(0)
        self.sampled: list[SampledToken] = []
        self.done = threading.Semaphore(0)

    def step(self) -> list[SampledToken]:
        self.permits.acquire()
        sampled = super().step()
        self.sampled += sampled
        self.done.release()
        return sampled

    def run_steps(self, steps: int) -> None:
        """Run this many steps."""
        for _ in range(steps):
            self.permits.release()
            assert self.done.acquire(timeout=10)


class FailingBatcher(Batcher):
    """A batcher whose first step fails."""

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
        if isinstance(batcher, PermittedBatcher):
            for _ in range(1_000):
                batcher.permits.release()
        engine.stop(10)


@asynccontextmanager
async def submit(
    engine: InferenceEngine, rows: int, client: str = "a"
) -> AsyncIterator[RequestHandle]:
    handle = engine.submit(client, [ask(index) for index in range(rows)])
    try:
        yield handle
    finally:
        handle.close()


def test_clients_take_turns_and_each_keeps_its_order() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "a3", "b1", "c1", "b2"):
        queue.add(item[0], item)
    assert len(queue) == 6
    assert [queue.take() for _ in range(6)] == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert len(queue) == 0


def test_dropped_items_leave_the_others_in_order() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "b1", "a3"):
        queue.add(item[0], item)
    queue.drop("a", lambda item: item == "a1")
    queue.drop("nobody", lambda item: True)
    queue.drop("b", lambda item: True)
    assert [queue.take() for _ in range(len(queue))] == ["a2", "a3"]


def test_a_closed_request_generates_nothing_after_the_current_step() -> None:
    async def scenario() -> None:
        batcher = PermittedBatcher(4)
        with running(batcher, 4) as engine:
            async with submit(engine, 2) as handle:
                await asyncio.to_thread(batcher.run_steps, 3)
                assert len(batcher.sampled) == 6
                other = engine.submit("b", [ask(7)])
                await asyncio.to_thread(batcher.run_steps, 1)
                handle.close()
                before = {sampled.row for sampled in batcher.sampled[:2]}
                start = len(batcher.sampled)
                await asyncio.to_thread(batcher.run_steps, 4)
                # The step that waited for its permit had begun.
                late = [sampled for sampled in batcher.sampled[start:] if sampled.row in before]
                assert len(late) <= 2
                assert len(batcher.sampled[start:]) - len(late) >= 3
                assert batcher.free_rows == 3
                other.close()

    asyncio.run(scenario())


def test_a_request_closed_before_its_turn_is_never_prefilled() -> None:
    async def scenario() -> None:
        batcher = PermittedBatcher(2)
        with running(batcher, 2, 100) as engine:
            handles = [engine.submit("a", [ask(n)]) for n in range(20)]
            await asyncio.to_thread(batcher.run_steps, 1)
            for handle in handles:
                handle.close()
            last = engine.submit("a", [ask(50, 2)])
            first_piece = asyncio.ensure_future(anext(aiter(last)))
            for _ in range(4):
                batcher.permits.release()
            await asyncio.wait_for(first_piece, 5)
            assert engine.load.prompt_tokens <= 3 * len(ask().request.prompt_ids)

    asyncio.run(scenario())


def test_64_abandoned_requests_leave_an_empty_batch() -> None:
    async def scenario() -> None:
        batcher = Batcher(lively_model(), 64)
        with running(batcher, 64, 64) as engine:
            handles = [engine.submit(str(n % 5), [ask(n, 200)]) for n in range(128)]
            async for _ in handles[0]:
                break
            for handle in handles:
                handle.close()
            async with submit(engine, 1) as last:
                async for _ in last:
                    pass
            assert batcher.free_rows == 64
            assert len(engine._queue) == 0

    asyncio.run(scenario())


def test_the_129th_request_is_told_to_try_again() -> None:
    async def scenario() -> None:
        with running(PermittedBatcher(64), 64, 64) as engine:
            handles = [engine.submit("a", [ask(n)]) for n in range(128)]
            with pytest.raises(ApiError) as refused:
                engine.submit("b", [ask()])
            assert refused.value.status_code == 429
            assert refused.value.headers == {"Retry-After": "1"}
            handles[100].close()
            engine.submit("b", [ask()]).close()
            with pytest.raises(ApiError):
                engine.submit("b", [ask(), ask(1)])

    asyncio.run(scenario())


def test_a_new_client_does_not_wait_for_all_requests_of_another() -> None:
    async def scenario() -> None:
        batcher = PermittedBatcher(2)
        with running(batcher, 2, 100) as engine:
            greedy = [engine.submit("a", [ask(n, 2)]) for n in range(20)]
            await asyncio.to_thread(batcher.run_steps, 1)
            honest = engine.submit("b", [ask(50, 2)])
            first_piece = asyncio.ensure_future(anext(aiter(honest)))
            await asyncio.to_thread(batcher.run_steps, 6)
            await asyncio.wait_for(first_piece, 5)
            for handle in (*greedy, honest):
                handle.close()

    asyncio.run(scenario())


def test_a_client_that_reads_nothing_delays_nobody() -> None:
    async def scenario() -> None:
        with running(Batcher(lively_model(), 2), 2) as engine:
            async with submit(engine, 1) as idle, submit(engine, 1, "b") as busy:
                pieces = [piece async for piece in busy]
                assert pieces[-1].finish
                kept = [piece async for piece in idle]  # all of it is still there
                assert kept[-1].finish

    asyncio.run(scenario())


def test_stopping_sends_every_open_request_an_error() -> None:
    async def scenario() -> None:
        batcher = PermittedBatcher(4)
        with running(batcher, 4) as engine:
            handles = [engine.submit("a", [ask(n)]) for n in range(6)]
            await asyncio.to_thread(batcher.run_steps, 2)
            stopping = asyncio.create_task(asyncio.to_thread(engine.stop, 10))
            while engine._stop_error is None:  # only then may the step that runs end
                await asyncio.sleep(0)
            batcher.permits.release()
            await stopping
            for handle in handles:
                with pytest.raises(ApiError, match="stopping"):
                    async for _ in handle:
                        pass
            with pytest.raises(ApiError, match="stopping"):
                engine.submit("a", [ask()])

    asyncio.run(scenario())


def test_a_failed_model_is_an_error_for_open_and_new_requests() -> None:
    async def scenario() -> None:
        with running(FailingBatcher(), 4) as engine:
            async with submit(engine, 1) as handle:
                with pytest.raises(ApiError, match="the model failed") as refused:
                    async for _ in handle:
                        pass
            assert refused.value.status_code == 503
            assert str(engine.failure) == "the device is gone"
            with pytest.raises(ApiError, match="the model failed"):
                engine.submit("a", [ask()])

    asyncio.run(scenario())
