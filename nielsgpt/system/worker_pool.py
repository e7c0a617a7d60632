"""Work that several processes do, handed back in order, as if one had done it."""

import itertools
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from nielsgpt.errors import NielsError, RunError, Stopped
from nielsgpt.system.launcher import die_with_parent

Task = TypeVar("Task")
Result = TypeVar("Result")
ALONE_S = 0.5  # a process takes longer to start than this work
AHEAD = 2  # tasks under way for each process
_work: list[Callable[[Any], Any]] = []


def map_in_order(
    tasks: Iterable[Task],
    work: Callable[[Task], Result],
    make: Callable[..., Callable[[Task], Result]],
    arguments: tuple[Any, ...],
    count: int,
) -> Iterator[Result]:
    """`work` of each task: half a second here, the rest in `count` processes, 1 being this one.

    A process makes its own work, once, as `make(*arguments)`. What a task raises comes up in the
    task's place. Raises RunError when a process was ended from outside.
    """
    left, spent = iter(tasks), 0.0
    for task in left:
        if count > 1 and spent >= ALONE_S:
            yield from _share(itertools.chain([task], left), make, arguments, count)
            return
        began = time.monotonic()
        result = work(task)
        spent += time.monotonic() - began
        yield result


def _share(
    tasks: Iterator[Task],
    make: Callable[..., Callable[[Task], Result]],
    arguments: tuple[Any, ...],
    count: int,
) -> Iterator[Result]:
    # spawn: a fork would copy threads that hold locks. The processes start with the first task.
    pool = ProcessPoolExecutor(
        count, multiprocessing.get_context("spawn"), _begin, (os.getpid(), make, arguments)
    )
    waiting: deque[Future[Result]] = deque()
    with _describe_exit():
        try:
            for task in _last_words(tasks, waiting):
                if task is not None:
                    with _defer_interrupt():
                        waiting.append(pool.submit(_do, task))
                if task is None or len(waiting) >= AHEAD * count:
                    yield waiting.popleft().result()
        except BrokenProcessPool:
            raise RunError(
                "a tokenizing process was killed, probably because memory ran out; "
                "run the same command again, with --set data.workers=1 if it happens again"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _last_words(tasks: Iterator[Task], waiting: Collection[object]) -> Iterator[Task | None]:
    """The tasks, then None while any is waiting; only then what ended their making."""
    failure = None
    try:
        yield from tasks
    except (OSError, NielsError) as error:
        if isinstance(error, Stopped):
            raise
        failure = error
    while waiting:
        yield None
    if failure is not None:
        raise failure


def _begin(parent: int, make: Callable[..., Callable[[Any], Any]], arguments: Any) -> None:
    os.environ["NIELSGPT_PARENT"] = str(parent)
    die_with_parent()
    _work.append(make(*arguments))


def _do(task: Any) -> Any:
    return _work[0](task)


@contextmanager
def _defer_interrupt() -> Iterator[None]:
    """No SIGINT meanwhile, and never one for a process that starts here: Ctrl-C reaches all of
    them, and the first one decides."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _describe_exit() -> Iterator[None]:
    """SIGTERM as an exception, so that the other processes are ended in order."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise Stopped("stopped; rerun the same command to resume", number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
