"""The table of the founding documents' promises: one line of JSON each."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name("promises.jsonl")


@dataclass(frozen=True)
class Row:
    """A promise, where it stands, and the test that proves it, the ruling, or what is missing."""

    id: str
    document: str
    lines: str
    promise: str
    status: str
    by: str


def rows() -> list[Row]:
    """Every promise, in the order of the documents."""
    return [Row(**json.loads(line)) for line in FILE.read_text("utf-8").splitlines()]


def summary() -> str:
    """One line: how many promises are kept, replaced and open."""
    counts = Counter(row.status for row in rows())
    told = f"{counts['kept']} kept, {counts['ruling']} replaced by a named ruling"
    return f"promises of the founding documents: {counts.total()}; {told}, {counts['open']} open"
