"""The figures of runs as text: one table of them for the list, the page and the comparison."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from nielsgpt.format import format_bytes, format_count
from nielsgpt.progress import clock
from nielsgpt.report.run_reader import RunRecord
from nielsgpt.training.run_log import Memory

NONE = "-"
DAY_S = 86400
Figure = Callable[[RunRecord], str]


def format_known(value: Any, formatter: Callable[[float], str]) -> str:
    """The number as `formatter` writes it; a dash for NaN and for anything that is no number."""
    if not isinstance(value, int | float) or math.isnan(value):
        return NONE
    return formatter(value)


def age(record: RunRecord, now: datetime) -> str:
    """The time since the run ended, or since its last update."""
    updated = record.updated_at
    return format_known((now - updated).total_seconds() if updated else math.nan, format_age)


def format_age(seconds: float) -> str:
    """An age in seconds as 5d, 1h02m or 45s; a negative one as 0s."""
    return f"{seconds // DAY_S:.0f}d" if seconds >= 2 * DAY_S else clock(max(0.0, seconds))


def _steps(record: RunRecord) -> str:
    planned = record.planned_steps
    return f"{record.steps:,}" + (f" of {planned:,}" if record.steps < planned else "")


def _peak_memory(record: RunRecord) -> str:
    return format_known(record.meta.get("memory", Memory()).get("peak_bytes"), format_bytes)


def _parameters(record: RunRecord) -> str:
    return format_known(record.meta.get("params"), format_count)


def _tokens(record: RunRecord) -> str:
    return format_known(record.last("tokens_seen"), format_count)


FIGURES: dict[str, Figure] = {
    "name": lambda run: run.name,
    "phase": lambda run: run.phase,
    "steps": _steps,
    "best bits per byte": lambda run: format_known(run.best_bits_per_byte, "{:.4f}".format),
    "validation loss": lambda run: format_known(run.last("val_loss"), "{:.4f}".format),
    "tokens/s": lambda run: format_known(run.tokens_per_second, "{:,.0f}".format),
    "share of measured peak": lambda run: format_known(run.share_of_peak, "{:.1%}".format),
    "peak memory": _peak_memory,
    "parameters": _parameters,
    "tokens": _tokens,
    "time": lambda run: format_known(run.seconds, clock),
}
LISTED = ("name", "phase", "steps", "best bits per byte", "tokens/s", "time")


def list_runs(records: Sequence[RunRecord], now: datetime) -> list[list[str]]:
    """A heading and a row for each run."""
    rows = [["id", *LISTED, "outcome", "age"]]
    for record in records:
        figures = [FIGURES[name](record) for name in LISTED]
        rows.append([record.run_id, *figures, record.outcome(now), age(record, now)])
    return rows


def compare_figures(records: Sequence[RunRecord]) -> list[list[str]]:
    """A heading of short ids and a row for each figure that at least one of the runs has."""
    rows = [["", *(record.short_id for record in records)]]
    for name, figure in FIGURES.items():
        values = [figure(record) for record in records]
        if set(values) != {NONE}:
            rows.append([name, *values])
    return rows


def compare_settings(records: Sequence[RunRecord]) -> list[list[str]]:
    """A row for each setting in which the runs differ: its name, then each run's value."""
    trees = [dict(flatten(record.settings)) for record in records]
    names = dict.fromkeys(name for tree in trees for name in tree)
    rows = [[name, *(tree.get(name, NONE) for tree in trees)] for name in names]
    return [row for row in rows if len(set(row[1:])) > 1]


def flatten(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a tree as (dotted name, text): {"a": {"b": None}} gives ("a.b", "null")."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"{prefix}{name}", text
