"""Run a job in a worker process, with bounds on its time and memory.

The parent starts `python -m MODULE supervised` and writes the job to its stdin as a line of JSON.
The worker answers on stdout: the line `ready` once it is prepared, then its result as a line of
JSON. It never outlives the parent, because it ends as soon as its stdin is closed.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol, TypeVar

import psutil

from nielsgpt.errors import NielsError, Stopped, first_line
from nielsgpt.format import format_bytes
from nielsgpt.system import device, machine
from nielsgpt.system.device import ExecutionConfig

READY = "ready"
POLL_S = 0.05
START_S = 90.0  # until a worker is ready
COMPILE_S = 240.0  # until a worker that compiles is ready
MEMORY_SHARE = 0.8  # of the memory that is free now: what a worker may take
MAX_REASON = 200  # characters
ResultRow = dict[str, Any]  # a result: status ok, oom, timeout or error, and what was measured
Job = TypeVar("Job")


class WorkerJob(Protocol):
    """A job for a worker process: `module` runs it, given `to_dict()` as JSON."""

    @property
    def module(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def execution(self) -> ExecutionConfig: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class JobLimits:
    """The limits of a job: seconds once it is ready, bytes of resident memory, and seconds until
    it is ready (None: START_S, or COMPILE_S if it compiles)."""

    timeout_s: float
    memory_bytes: int
    start_s: float | None = None

    @classmethod
    def from_free_memory(cls, timeout_s: float, start_s: float | None = None) -> "JobLimits":
        """Limits with a share of the memory that is free now."""
        return cls(timeout_s, int(MEMORY_SHARE * machine.available_bytes()), start_s)


def run_job(job: WorkerJob, limits: JobLimits, stop_signals: Sequence[int] = ()) -> ResultRow:
    """The result of a job in a new process, with its peak memory and total seconds.

    A failure of the job is a status of its result, never an exception. Raises Stopped when a
    number appears in `stop_signals`.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = JobProcess(job, errors)
        try:
            result = process.watch(limits, stop_signals)
        finally:
            process.kill()
    elapsed = time.monotonic() - started
    return {**result, "resident_bytes": process.peak_bytes, "took_s": elapsed}


class JobProcess:
    """The parent's end of one running job."""

    def __init__(self, job: WorkerJob, errors: IO[bytes]) -> None:
        self.job = job
        self.errors = errors
        self.output = b""
        self.peak_bytes = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", job.module, "supervised"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdout = self.process.stdout.fileno()
        with contextlib.suppress(
            BrokenPipeError
        ):  # it has already ended; its stderr has the reason
            self.process.stdin.write(json.dumps(job.to_dict()).encode("utf-8") + b"\n")
            self.process.stdin.flush()

    def watch(self, limits: JobLimits, stop_signals: Sequence[int]) -> ResultRow:
        """The job's result, or the limit that ended it. Raises Stopped on a stop signal."""
        bound_s = limits.start_s or (COMPILE_S if self.job.execution.compiled else START_S)
        deadline, is_ready = time.monotonic() + bound_s, False
        while self._read_output():
            if stop_signals:
                raise Stopped(
                    "stopped; the same command resumes with what was measured", stop_signals[0]
                )
            if not is_ready and f"{READY}\n".encode() in self.output:
                is_ready, bound_s = True, limits.timeout_s
                deadline = time.monotonic() + bound_s
            if self._measure_memory() > limits.memory_bytes:
                return {"status": "oom", "reason": f"more than {format_bytes(limits.memory_bytes)}"}
            if time.monotonic() > deadline:
                stage = "its steps" if is_ready else "getting ready"
                return {"status": "timeout", "reason": f"more than {bound_s:g} s for {stage}"}
        return self._parse_result()

    def _read_output(self) -> bool:
        """Read what the worker writes within POLL_S; False once it has ended."""
        if not select.select([self.stdout], [], [], POLL_S)[0]:
            return True
        chunk = os.read(self.stdout, 65536)
        self.output += chunk
        return bool(chunk)

    def _measure_memory(self) -> int:
        with contextlib.suppress(psutil.Error):
            resident = int(psutil.Process(self.process.pid).memory_info().rss)
            self.peak_bytes = max(self.peak_bytes, resident)
            return resident
        return 0

    def _parse_result(self) -> ResultRow:
        """The last line of its output, or if that is no result, how the process ended."""
        last_line = self.output.decode("utf-8", "replace").rstrip("\n").rpartition("\n")[2]
        with contextlib.suppress(ValueError):
            result: Any = json.loads(last_line)
            if isinstance(result, dict) and "status" in result:
                return result
        code = self.process.wait()
        if code == -signal.SIGKILL:
            return {"status": "oom", "reason": "killed by the system"}
        self.errors.seek(0)
        lines = self.errors.read().decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1][:MAX_REASON] if lines else f"exit code {code}"
        return {"status": "error", "reason": reason}

    def kill(self) -> None:
        """Kill the worker and everything it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def serve_job(
    parse: Callable[[str], Job], measure: Callable[[Job, Callable[[], None]], ResultRow]
) -> None:
    """The worker's end: read a job from stdin, measure it, write its result to stdout.

    `measure` calls its second argument once the job is prepared. With the argument `supervised`
    the process ends as soon as its stdin is closed.
    """
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # so that what libraries print does not mix with the output

    def write_line(line: str) -> None:
        output.write(f"{line}\n")
        output.flush()

    line = sys.stdin.readline()
    if "supervised" in sys.argv:
        threading.Thread(target=_exit_with_parent, daemon=True).start()
    result = catch_failure(lambda: measure(parse(line), lambda: write_line(READY)))
    write_line(json.dumps(result))


def catch_failure(measure: Callable[[], dict[str, Any]]) -> ResultRow:
    """The measurements with status ok, or status oom or error with a reason."""
    try:
        return {"status": "ok", **measure()}
    except (RuntimeError, MemoryError, ValueError, TypeError, NielsError) as error:
        status = "oom" if device.is_out_of_memory(error) else "error"
        return {"status": status, "reason": first_line(error)[:MAX_REASON]}


def _exit_with_parent() -> None:
    """Kill this process group at the end of stdin, which means that the parent has ended."""
    while os.read(0, 64):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)
