"""SIGINT, SIGTERM and SIGHUP as something to look at between two pieces of work."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def watch_stop_signals(once: bool = False) -> Iterator[list[int]]:
    """A list that takes in the signals' numbers as they come; with `once` a second one ends now."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if once and asked:
            raise KeyboardInterrupt
        asked.append(number)

    # Under nohup the end of the terminal is no end of the run.
    heard = [n for n in ENDING if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
