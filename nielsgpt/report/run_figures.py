"""The figures of a run in words: one table of them, for the list, the page and the comparison."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from nielsgpt.progress import clock
from nielsgpt.report.run_reader import RunRecord

NONE = "-"
MAGNITUDES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
BINARY = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
Figure = Callable[[RunRecord], str]


def known(value: Any, shown: Callable[[float], str]) -> str:
    """The number as `shown` writes it; a dash where there is none."""
    if not isinstance(value, int | float) or math.isnan(value):
        return NONE
    return shown(value)


def magnitude(value: float) -> str:
    """1,234,567 as 1.2M; below ten thousand whole."""
    for unit, letter in MAGNITUDES:
        if value >= max(unit, 10_000):
            return f"{value / unit:,.1f}{letter}"
    return f"{value:,.0f}"


def size(value: float) -> str:
    """Bytes as 1.5 GiB."""
    for unit, name in BINARY:
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value:.0f} bytes"


def age(record: RunRecord, now: datetime) -> str:
    """How long ago the run ended, or last wrote something down."""
    noted = record.noted_at
    return known((now - noted).total_seconds() if noted else math.nan, ago)


def ago(seconds: float) -> str:
    """So many seconds of age as 5d, 1h02m or 45s."""
    return f"{seconds // 86400:.0f}d" if seconds >= 2 * 86400 else clock(max(0.0, seconds))


def _steps(record: RunRecord) -> str:
    planned = record.planned_steps
    return f"{record.steps:,}" + (f" of {planned:,}" if record.steps < planned else "")


def _memory(record: RunRecord) -> str:
    return known((record.meta.get("memory") or {}).get("peak_bytes"), size)


def _parameters(record: RunRecord) -> str:
    return known(record.meta.get("params"), magnitude)


def _tokens(record: RunRecord) -> str:
    return known(record.last("tokens_seen"), magnitude)


FIGURES: dict[str, Figure] = {
    "name": lambda record: record.name,
    "phase": lambda record: record.phase,
    "steps": _steps,
    "best bits per byte": lambda record: known(record.best_bits_per_byte, "{:.4f}".format),
    "validation loss": lambda record: known(record.last("val_loss"), "{:.4f}".format),
    "tokens/s": lambda record: known(record.tokens_per_second, "{:,.0f}".format),
    "share of measured peak": lambda record: known(record.share_of_peak, "{:.1%}".format),
    "peak memory": _memory,
    "parameters": _parameters,
    "tokens": _tokens,
    "time": lambda record: known(record.seconds, clock),
}
LISTED = ("name", "phase", "steps", "best bits per byte", "tokens/s", "time")


def listing(records: Sequence[RunRecord], now: datetime) -> list[list[str]]:
    """A heading and a line for each run."""
    rows = [["id", *LISTED, "outcome", "age"]]
    for record in records:
        figures = [FIGURES[name](record) for name in LISTED]
        rows.append([record.run_id, *figures, record.outcome(now), age(record, now)])
    return rows


def side_by_side(records: Sequence[RunRecord]) -> list[list[str]]:
    """A heading of short ids and a line for each figure that one of the runs has."""
    rows = [["", *(record.short_id for record in records)]]
    for name, figure in FIGURES.items():
        values = [figure(record) for record in records]
        if set(values) != {NONE}:
            rows.append([name, *values])
    return rows
