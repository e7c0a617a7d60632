"""Stored results, one line each, so that a killed sweep or plan resumes without measuring twice."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nielsgpt.experiments.worker import JobLimits, ResultRow, WorkerJob
from nielsgpt.system.atomic_files import explain_unwritable, seal, unseal

RETRY_FACTOR = 1.25  # how much more time or memory a failed job needs before it is retried
RunJob = Callable[[Any, JobLimits, Sequence[int]], ResultRow]


class ResultsStore:
    """results.jsonl: each job with its result, appended and fsynced as soon as it is measured."""

    def __init__(self, path: Path, run_job: RunJob) -> None:
        self.path = path
        self.run_job = run_job
        self.rows: dict[str, ResultRow] = {}
        for line in _read_lines(path):
            row = _parse_row(line)
            if row is not None:
                self.rows[row["key"]] = row

    def measure(
        self, job: WorkerJob, limits: JobLimits, stop_signals: Sequence[int] = ()
    ) -> ResultRow:
        """The stored row of the job, or else a new one.

        A job that ran out of time or memory is retried once it may take RETRY_FACTOR as much. An
        error is always retried, because its cause may be fixed.
        """
        stored = self.rows.get(job.key)
        if stored is not None and not _should_retry(stored, limits):
            return stored
        result = self.run_job(job, limits, stop_signals)
        bounds = {"timeout_s": limits.timeout_s, "memory_bytes": limits.memory_bytes}
        row = {"key": job.key, "job": job.to_dict(), "limits": bounds, **result}
        self._append(row)
        return row

    def _append(self, row: ResultRow) -> None:
        self.rows[row["key"]] = row
        text = json.dumps(seal(row), sort_keys=True, ensure_ascii=False)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            is_torn = self.path.exists() and self.path.read_bytes()[-1:] not in (b"", b"\n")
            with self.path.open("ab") as file:
                # The half-written line of a killed process must not swallow this one.
                file.write(b"\n" * is_torn + text.encode("utf-8") + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise explain_unwritable(self.path, error) from error


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise explain_unwritable(path, error) from error


def _parse_row(line: str) -> ResultRow | None:
    """The line's row; None for a torn or damaged line."""
    try:
        row = unseal(json.loads(line))
    except ValueError:
        return None
    return row if isinstance(row, dict) and {"key", "job", "status"} <= set(row) else None


def _should_retry(row: ResultRow, limits: JobLimits) -> bool:
    before = row["limits"]
    retry = {
        "error": True,
        "timeout": limits.timeout_s >= RETRY_FACTOR * before["timeout_s"],
        "oom": limits.memory_bytes >= RETRY_FACTOR * before["memory_bytes"],
    }
    return bool(retry.get(row["status"], False))
