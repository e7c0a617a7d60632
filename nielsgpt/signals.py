"""SIGINT and SIGTERM as something to look at between two pieces of work."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def asked_to_stop(once: bool = False) -> Iterator[list[int]]:
    """A list that takes in the signals' numbers as they come; with `once` a second one ends now."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if once and asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
