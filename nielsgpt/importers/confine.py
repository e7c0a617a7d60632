"""Work in a process of its own, within a bound of time, memory and disk.

A file may be broken, or made to harm. What its reader does with it ends in a result or in a reason,
and never ends the import: each file has a process, which the system holds to the limits.
"""

import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from nielsgpt.importers.content import Unreadable

PRELOADED = ["nielsgpt.importers.readers", "nielsgpt.importers.gather"]
POLL_S = 0.5


@dataclass(frozen=True)
class Limits:
    """The limits for one file: seconds, bytes of memory, and bytes of any one file it writes."""

    time_s: float = 120.0
    memory_bytes: int = 2 * 2**30
    file_bytes: int = 2 * 2**30


@dataclass(frozen=True)
class Job:
    """A function of a module, by name, and its arguments as JSON has them."""

    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    label: str


@dataclass(frozen=True)
class Outcome:
    """The result of a job, or the reason for its absence; `lasting` if it would recur."""

    job: Job
    result: Any = None
    reason: str = ""
    lasting: bool = False


def run_each(jobs: Iterable[Job], count: int, limits: Limits) -> Iterator[Outcome]:
    """The outcome of each job, as they end, `count` at a time."""
    os.environ["PYTHONSAFEPATH"] = "1"  # no module of the folder that a person is in
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    left, running = iter(jobs), list[_Child]()
    try:
        while True:
            while len(running) < count and (job := next(left, None)) is not None:
                running.append(_Child(context, job, limits))
            if not running:
                return
            wait([child.pipe for child in running], POLL_S)
            for child in list(running):
                outcome = child.outcome()
                if outcome is not None:
                    running.remove(child)
                    yield outcome
    finally:
        for child in running:
            child.end()


class _Child:
    """A running job."""

    def __init__(self, context: Any, job: Job, limits: Limits) -> None:
        self.job = job
        self.limits = limits
        self.ends = time.monotonic() + limits.time_s
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(theirs, job, limits), daemon=True)
        self.process.start()
        theirs.close()

    def outcome(self) -> Outcome | None:
        """The outcome, or None while there is none yet."""
        if self.pipe.poll():
            try:
                answer: dict[str, Any] = json.loads(self.pipe.recv_bytes())
            except EOFError:
                answer = {"reason": self._death()}
            self.end()
            return Outcome(self.job, **answer)
        if time.monotonic() > self.ends:
            self.end()
            return Outcome(self.job, reason=self._too_long())
        return None

    def _death(self) -> str:
        self.process.join(5.0)
        if self.process.exitcode == -signal.SIGXCPU:
            return self._too_long()
        return "its reader broke off; the file is damaged, or memory is short"

    def _too_long(self) -> str:
        return f"it takes longer than {self.limits.time_s:g} s to read; --timeout gives it more"

    def end(self) -> None:
        """Kill the process, where it still runs."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(pipe: Connection, job: Job, limits: Limits) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    _limit(limits)
    try:
        answer: dict[str, Any] = {"result": job.work(*job.arguments)}
    except Unreadable as error:
        answer = {"reason": str(error), "lasting": True}
    except MemoryError:
        answer = {"reason": f"it needs more than {limits.memory_bytes / 2**30:g} GiB of memory"}
    except RecursionError:
        answer = {"reason": "it nests too deep", "lasting": True}
    except OSError as error:
        answer = {"reason": f"it cannot be read ({error.strerror or error})"}
    except Exception as error:  # a reader's library met a file that it was not made for
        said = (str(error).strip() or "no reason given").splitlines()[0][:120]
        answer = {"reason": f"it is damaged ({type(error).__name__}: {said})", "lasting": True}
    pipe.send_bytes(json.dumps(answer).encode())
    pipe.close()


def _limit(limits: Limits) -> None:
    """Have the system hold this process to the limits. macOS knows no limit of memory."""
    seconds = int(limits.time_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with open("/proc/self/statm", "rb") as file:
            held = int(file.read().split()[0]) * resource.getpagesize()
        allowed = held + limits.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
