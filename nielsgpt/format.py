"""Numbers and rows as text: sizes and counts; columns for a terminal, Markdown tables."""

from collections.abc import Mapping, Sequence
from typing import Any

COUNT_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
BYTE_UNITS = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))


def format_count(value: float) -> str:
    """1,234,567 as 1.2M; numbers below ten thousand in full."""
    for unit, letter in COUNT_UNITS:
        if value >= max(unit, 10_000):
            return f"{value / unit:,.1f}{letter}"
    return f"{value:,.0f}"


def format_bytes(value: float) -> str:
    """1,610,612,736 bytes as 1.5 GiB."""
    for unit, name in BYTE_UNITS:
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value:.0f} bytes"


def align_columns(rows: Sequence[Sequence[str]]) -> str:
    """The rows as lines, with their cells in columns two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The headings, a rule, and a line for each row."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def list_verbatim(exam: Mapping[str, Any]) -> list[str]:
    """A line for each source of an exam: the passages that the model repeats word for word."""
    return [
        f"repeated word for word ({row['source']}, {row['tokens']} tokens): "
        f"{row['train'][0]} of {row['train'][1]} training passages, "
        f"{row['val'][0]} of {row['val'][1]} validation passages"
        for row in exam.get("verbatim", ())
    ]
