"""What was measured, a line each: a sweep that was killed goes on where it was."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nielsgpt.experiments.job import Row
from nielsgpt.experiments.supervisor import TrialLimits, TrialWork
from nielsgpt.system.workspace import explain_unwritable, seal, unseal

GROWN = 1.25  # times the memory or the time: what a failure must have gained to be tried again
Measure = Callable[[Any, TrialLimits, Sequence[int]], Row]


class ResultsStore:
    """results.jsonl: every trial with its job, appended and fsynced as soon as it is known."""

    def __init__(self, path: Path, measure: Measure) -> None:
        self.path, self.measure = path, measure
        self.rows: dict[str, Row] = {}
        for line in _whole_lines(path):
            row = _row(line)
            if row is not None:
                self.rows[row["key"]] = row

    def result(self, job: TrialWork, limits: TrialLimits, asked: Sequence[int] = ()) -> Row:
        """The job's row: as known, else measured now.

        Where time or memory ran out, a known row holds until there is a quarter more of it. An
        error is tried again: what it came from may be mended.
        """
        known = self.rows.get(job.key)
        if known is not None and not _should_repeat(known, limits):
            return known
        found = self.measure(job, limits, asked)
        bounds = {"timeout_s": limits.timeout_s, "memory_bytes": limits.memory_bytes}
        row = {"key": job.key, "job": job.facts(), "limits": bounds, **found}
        self._append(row)
        return row

    def _append(self, row: Row) -> None:
        self.rows[row["key"]] = row
        text = json.dumps(seal(row), sort_keys=True, ensure_ascii=False)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            torn = self.path.exists() and self.path.read_bytes()[-1:] not in (b"", b"\n")
            with self.path.open("ab") as file:
                # What a killed process left half-written must not swallow this line.
                file.write(b"\n" * torn + text.encode("utf-8") + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise explain_unwritable(self.path, error) from error


def _whole_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise explain_unwritable(path, error) from error


def _row(line: str) -> Row | None:
    """The line's row; None where it is not a whole one."""
    try:
        row = unseal(json.loads(line))
    except ValueError:
        return None
    return row if isinstance(row, dict) and {"key", "job", "status"} <= set(row) else None


def _should_repeat(row: Row, limits: TrialLimits) -> bool:
    before = row["limits"]
    more = {
        "error": True,
        "timeout": limits.timeout_s >= GROWN * before["timeout_s"],
        "oom": limits.memory_bytes >= GROWN * before["memory_bytes"],
    }
    return bool(more.get(row["status"], False))
