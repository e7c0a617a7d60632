"""The process that measures: a job as a line on stdin, `ready` and a line of result on stdout."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from nielsgpt.errors import NielsError, first_line
from nielsgpt.experiments.job import READY, Row
from nielsgpt.system import device

Job = TypeVar("Job")
MOST_WORDS = 200  # characters of a reason


def answer(read: Callable[[str], Job], measure: Callable[[Job, Callable[[], None]], Row]) -> None:
    """Read a job, write its result. Started with the word `supervised`, end as soon as stdin does.

    `measure` is given what it calls as soon as only the steps are left.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not stand between the answers

    def say(line: str) -> None:
        answers.write(f"{line}\n")
        answers.flush()

    line = sys.stdin.readline()
    if "supervised" in sys.argv:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    say(json.dumps(attempt(lambda: measure(read(line), lambda: say(READY)))))


def attempt(work: Callable[[], dict[str, Any]]) -> Row:
    """What the work found, with its status: ok, oom or error, the latter two with a reason."""
    try:
        return {"status": "ok", **work()}
    except (RuntimeError, MemoryError, ValueError, TypeError, NielsError) as error:
        status = "oom" if device.is_out_of_memory(error) else "error"
        reason = first_line(error)
        return {"status": status, "reason": reason[:MOST_WORDS]}


def _end_with_parent() -> None:
    """Wait for the end of stdin, which only the end of the parent brings, and end at once."""
    while os.read(0, 64):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)
