"""What runs were told differently: the settings in which they differ."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nielsgpt.report.run_figures import NONE
from nielsgpt.report.run_reader import RunRecord


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a tree as (dotted name, text): {"a": {"b": None}} gives ("a.b", "null")."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"{prefix}{name}", text


def differing(records: Sequence[RunRecord]) -> list[list[str]]:
    """A line for each setting in which the runs differ: its name, then each run's value."""
    trees = [dict(flat(record.settings)) for record in records]
    names = dict.fromkeys(name for tree in trees for name in tree)
    rows = [[name, *(tree.get(name, NONE) for tree in trees)] for name in names]
    return [row for row in rows if len(set(row[1:])) > 1]
