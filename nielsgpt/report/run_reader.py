"""Read a run folder back: metadata, settings, metrics, samples and events, however the run ended.

A killed process leaves a torn last line or no file at all; whatever is intact is read.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nielsgpt.checkpoint.contents import read_small_file
from nielsgpt.checkpoint.exam_report import EXAM_FILE, ExamReport, read_report
from nielsgpt.errors import DataError, NielsError
from nielsgpt.training import run_log
from nielsgpt.training.run_log import Event, RunMeta, Sample

Column = NDArray[np.float64]
LATEST = "latest"
SILENT_AFTER_S = 3600.0


@dataclass(frozen=True)
class RunRecord:
    """One run. `rows` maps each column of metrics.csv to its values, NaN where a cell is empty."""

    run_id: str
    folder: Path
    meta: RunMeta
    settings: dict[str, object]
    rows: dict[str, Column]
    samples: list[Sample]
    events: list[Event]

    def column(self, name: str) -> Column:
        """The column, all NaN if metrics.csv has no column of this name."""
        length = len(self.rows.get("iter", ()))
        return self.rows.get(name, np.full(length, np.nan))

    def last(self, name: str) -> float:
        """The newest number of a column; NaN if the column is empty."""
        return _reduce(self.column(name), lambda values: values[-1])

    @property
    def short_id(self) -> str:
        """The random end of the id, which `find` accepts too."""
        return self.run_id.rsplit("-", 1)[-1]

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.meta.get("name") or self.settings.get("name") or "?")

    @property
    def phase(self) -> str:
        """The phase of training."""
        return str(self.meta.get("phase") or "?")

    @property
    def steps(self) -> int:
        """The last step in metrics.csv; 0 if it has no row."""
        return 0 if math.isnan(self.last("iter")) else int(self.last("iter"))

    @property
    def planned_steps(self) -> int:
        """The planned number of steps; 0 for a run with a time budget, or if unknown."""
        if (self.meta.get("train_config") or {}).get("minutes"):
            return 0
        return int(self.meta.get("max_steps") or 0)

    @property
    def seconds(self) -> float:
        """Seconds of training, evaluations included; NaN if metrics.csv has no row."""
        return float(self.meta.get("seconds") or self.last("time_sec"))

    @property
    def best_bits_per_byte(self) -> float:
        """The lowest validation bits per byte over the mix; NaN without an evaluation."""
        return _reduce(self.column("val_bits_per_byte"), np.min)

    @property
    def tokens_per_second(self) -> float:
        """The median throughput of the rows; NaN if metrics.csv has no row."""
        return _reduce(self.column("throughput_tps"), np.median)

    @property
    def share_of_peak(self) -> float:
        """Median tokens/s x FLOP per token / the machine's measured FLOP/s; NaN if not measured."""
        peak, flops = self.meta.get("peak_flops"), self.meta.get("flops_per_token")
        if not peak or not flops:
            return math.nan
        return self.tokens_per_second * float(flops) / float(peak)

    @property
    def updated_at(self) -> datetime | None:
        """When the run ended, or else when it last wrote to its folder."""
        with suppress(KeyError, TypeError, ValueError):
            ended = datetime.fromisoformat(self.meta["ended_at"])
            return ended if ended.tzinfo else ended.replace(tzinfo=UTC)
        for name in (run_log.METRICS, run_log.META):
            with suppress(OSError):
                return datetime.fromtimestamp((self.folder / name).stat().st_mtime, UTC)
        return None

    def outcome(self, now: datetime) -> str:
        """How the run ended; `silent` if it claims to be running but wrote nothing for an hour."""
        updated, outcome = self.updated_at, self.meta.get("outcome")
        if outcome == "running" and updated and (now - updated).total_seconds() > SILENT_AFTER_S:
            return "silent"
        return str(outcome or ("done" if 0 < self.planned_steps <= self.steps else "?"))


def read(folder: Path) -> RunRecord:
    """The run in this folder; missing or broken files are read as empty."""
    return RunRecord(
        folder.name,
        folder,
        run_log.read_meta(folder),
        run_log.read_settings(folder),
        _read_columns(folder / run_log.METRICS),
        run_log.read_samples(folder),
        run_log.read_events(folder),
    )


def read_all(runs: Path) -> list[RunRecord]:
    """All runs, newest first."""
    return [read(folder) for folder in _list_folders(runs)]


def find(runs: Path, name: str) -> RunRecord:
    """The run whose id, or the random end of it, begins with `name`; or `latest`.

    Raises DataError if no run matches, or more than one.
    """
    folders = list(_list_folders(runs))
    if not folders:
        raise DataError(f"no runs in {runs} yet; 'nielsgpt pipeline' makes one")
    if name == LATEST:
        return read(folders[0])
    matches = [f for f in folders if f.name.startswith(name) or _short_id(f).startswith(name)]
    exact = [folder for folder in folders if folder.name == name]
    match exact or matches:
        case [folder]:
            return read(folder)
        case []:
            raise DataError(f"no run {name!r} in {runs}; 'nielsgpt runs' lists them")
    shown = ", ".join(folder.name for folder in matches[:3])
    raise DataError(
        f"{len(matches)} runs begin with {name!r} ({shown}{', ...' * (len(matches) > 3)}); "
        "name one of them, or 'latest'"
    )


def read_exam(record: RunRecord, checkpoints: Path) -> ExamReport | None:
    """The exam in `checkpoints`/<name>/exam.json, if it scored this run's best weights."""
    folder = checkpoints / record.name
    with suppress(NielsError):
        exam, best = read_report(folder / EXAM_FILE), read_small_file(folder / "best.json")
        scored = exam.get("weights_sha256") if exam is not None else None
        same = scored is not None and scored == best.get("weights_sha256")
        return exam if same and best.get("run_id") == record.run_id else None
    return None


def _reduce(values: Column, reduce: Callable[[Column], Any]) -> float:
    """The known values reduced to one; NaN if all are NaN."""
    known = values[~np.isnan(values)]
    return float(reduce(known)) if len(known) else math.nan


def _list_folders(runs: Path) -> Iterator[Path]:
    entries = runs.iterdir() if runs.is_dir() else ()
    for folder in sorted(entries, key=lambda path: path.name, reverse=True):
        if any((folder / name).is_file() for name in (run_log.METRICS, run_log.META)):
            yield folder


def _short_id(folder: Path) -> str:
    return folder.name.rsplit("-", 1)[-1]


def _read_columns(path: Path) -> dict[str, Column]:
    """The numeric columns, without the steps that a rollback undid, so that steps only rise."""
    rows: list[dict[str, str]] = []
    for row in reversed(run_log.rows(path)):
        if not rows or int(row["iter"]) < int(rows[-1]["iter"]):
            rows.append(row)
    rows.reverse()
    names = [name for name in rows[0] if name != "phase"] if rows else []
    return {name: np.array([_parse_number(row[name]) for row in rows]) for name in names}


def _parse_number(cell: str) -> float:
    with suppress(ValueError):
        return float(cell)
    return math.nan
