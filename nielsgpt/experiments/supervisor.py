"""A trial's process, watched: its time, its memory, and that it never outlives this one."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol

import psutil

from nielsgpt.errors import Stopped
from nielsgpt.experiments.job import READY, Row
from nielsgpt.system.device import ExecutionConfig

POLL_S = 0.05
START_S, COMPILE_S = 90.0, 240.0  # until a trial is ready; the second where it compiles
SHARE = 0.8  # of the memory that is free now: what a trial may take


@dataclass(frozen=True)
class TrialLimits:
    """What a trial may take: seconds from its `ready` on, bytes of resident memory, and seconds
    until it is ready, where they are not the usual ones."""

    timeout_s: float
    memory_bytes: int
    start_s: float | None = None


class TrialWork(Protocol):
    """What a process of its own can be given: the module that does it reads it as JSON."""

    @property
    def module(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def engine(self) -> ExecutionConfig: ...

    def facts(self) -> dict[str, Any]: ...


class TrialProcess:
    """One running trial."""

    def __init__(self, job: TrialWork, errors: IO[bytes]) -> None:
        self.job, self.errors, self.text, self.peak = job, errors, b"", 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", job.module, "supervised"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.out = self.process.stdout.fileno()
        with contextlib.suppress(BrokenPipeError):  # then it has ended, and says why
            self.process.stdin.write(json.dumps(job.facts()).encode("utf-8") + b"\n")
            self.process.stdin.flush()

    def watch(self, limits: TrialLimits, asked: Sequence[int]) -> Row:
        """Its result, or why it was ended. Raises Stopped when this process is asked to stop."""
        bound = limits.start_s or (COMPILE_S if self.job.engine.compiled else START_S)
        ends, is_ready = time.monotonic() + bound, False
        while self._listen():
            if asked:
                raise Stopped("stopped; the same command goes on from what was measured", asked[0])
            if not is_ready and f"{READY}\n".encode() in self.text:
                is_ready, bound = True, limits.timeout_s
                ends = time.monotonic() + bound
            if self._resident() > limits.memory_bytes:
                return {"status": "oom", "reason": f"more than {_gib(limits.memory_bytes)}"}
            if time.monotonic() > ends:
                what = "its steps" if is_ready else "getting ready"
                return {"status": "timeout", "reason": f"more than {bound:g} s for {what}"}
        return self._answer()

    def _listen(self) -> bool:
        """Take in what the trial writes, for a moment; false when it has ended."""
        if not select.select([self.out], [], [], POLL_S)[0]:
            return True
        piece = os.read(self.out, 65536)
        self.text += piece
        return bool(piece)

    def _resident(self) -> int:
        with contextlib.suppress(psutil.Error):
            resident = int(psutil.Process(self.process.pid).memory_info().rss)
            self.peak = max(self.peak, resident)
            return resident
        return 0

    def _answer(self) -> Row:
        """The last line that it wrote; where there is none, how it ended."""
        last = self.text.decode("utf-8", "replace").rstrip("\n").rpartition("\n")[2]
        with contextlib.suppress(ValueError):
            answer: Any = json.loads(last)
            if isinstance(answer, dict) and "status" in answer:
                return answer
        code = self.process.wait()
        if code == -signal.SIGKILL:
            return {"status": "oom", "reason": "killed by the system"}
        self.errors.seek(0)
        said = self.errors.read().decode("utf-8", "replace").strip().splitlines()
        return {"status": "error", "reason": said[-1][:200] if said else f"exit code {code}"}

    def end(self) -> None:
        """Kill it and whatever it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def run(job: TrialWork, limits: TrialLimits, asked: Sequence[int] = ()) -> Row:
    """The result of a job in a fresh process, never an exception for what happens in there:
    status ok, oom, timeout or error, with the seconds that the whole took."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        trial = TrialProcess(job, errors)
        try:
            found = trial.watch(limits, asked)
        finally:
            trial.end()
    return {**found, "resident_bytes": trial.peak, "took_s": time.monotonic() - began}


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"
