"""How far a long stage is: a bar on a terminal, elsewhere a line every ten seconds."""

import logging
import os
import sys
import time
from collections import deque
from contextlib import suppress
from statistics import median
from typing import Self

log = logging.getLogger("nielsgpt")
LINE_EVERY_S = 10.0
PACES = 64  # of the newest updates, kept for the time left
OUTLIER = 4.0  # times the median: a slower update counts as this much


class Progress:
    """Shows `done` of `total` and a text; time left is from the pace of this session's own work.

    A `total` of 0 is one that nobody knows. The first unit is left out of the pace: it holds
    warm-up and compilation. One that is not `enabled` shows nothing.
    """

    def __init__(self, label: str, total: int, done: int = 0, enabled: bool = True) -> None:
        self.label = label
        self.total = total
        self.first = done + 1
        self.enabled = enabled
        self._began: float | None = None
        self._shown = done, 0.0
        self._paces: deque[float] = deque(maxlen=PACES)
        self._said = time.monotonic()
        self._bar = self._task = None
        if enabled and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[t]}"),
            )
            # Nothing fits into no columns, not even the lines above the bar.
            width = 80 if os.environ.get("COLUMNS") == "0" else None
            console = Console(stderr=True, width=width)
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task(
                label, total=total or None, completed=done, t="starting"
            )

    def show(self, done: int, text: str) -> None:
        """Say that `done` units are finished."""
        now = time.monotonic()
        if done <= self.first or self._began is None:
            self._began = now
            self._paces.clear()
        elif done > self._shown[0]:
            self._paces.append((now - self._shown[1]) / (done - self._shown[0]))
        self._shown = done, now
        left = self.seconds_left(done, now)
        of = f"/{self.total:,}" if self.total else ""
        line = f"{done:,}{of}  {text}" + (f"  {clock(left)} left" if left else "")
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=self.total or None, t=line)
        elif self.enabled and now - self._said >= LINE_EVERY_S:
            self._said = now
            log.info("%s %s", self.label, line)

    def seconds_left(self, done: int, now: float) -> float:
        """Seconds to the end at the pace so far; 0 while there is none, or no end is known."""
        if not self.total or self._began is None or done <= self.first:
            return 0.0
        paces = self._paces or [(now - self._began) / (done - self.first)]
        most = OUTLIER * median(paces)
        return sum(min(most, pace) for pace in paces) / len(paces) * (self.total - done)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            with suppress(OSError):  # the terminal may be gone
                self._bar.stop()


def clock(seconds: float) -> str:
    """Seconds as 1h02m, 3m20s or 45s."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60}h{minutes % 60:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
