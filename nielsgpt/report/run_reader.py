"""A run folder read back: its facts, settings, rows, samples and events, however the run ended.

A killed process leaves a torn last line or no file at all; what is whole is read.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nielsgpt.errors import DataError, NielsError
from nielsgpt.system.workspace import read_json
from nielsgpt.training import run_log

Tree = dict[str, Any]
Column = NDArray[np.float64]
LATEST = "latest"
SILENT_AFTER_S = 3600.0


@dataclass(frozen=True)
class RunRecord:
    """One run. `rows` are the columns of metrics.csv by name, all equally long, NaN for empty."""

    run_id: str
    folder: Path
    meta: Tree
    settings: Tree
    rows: dict[str, Column]
    samples: list[Tree]
    events: list[Tree]

    def column(self, name: str) -> Column:
        """The column, all NaN where metrics.csv has none of this name."""
        length = len(self.rows.get("iter", ()))
        return self.rows.get(name, np.full(length, np.nan))

    def last(self, name: str) -> float:
        """The newest number of a column; NaN where there is none."""
        return _of(self.column(name), lambda values: values[-1])

    @property
    def short_id(self) -> str:
        """The random end of the id, which `find` takes as well."""
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
        """The last step that was noted."""
        return 0 if math.isnan(self.last("iter")) else int(self.last("iter"))

    @property
    def planned_steps(self) -> int:
        """The steps that were to be made; 0 where only a time, or nothing, is known."""
        if (self.meta.get("train_config") or {}).get("minutes"):
            return 0
        return int(self.meta.get("max_steps") or 0)

    @property
    def seconds(self) -> float:
        """Seconds of training, evaluations included; NaN where not one row was written."""
        return float(self.meta.get("seconds") or self.last("time_sec"))

    @property
    def best_bits_per_byte(self) -> float:
        """The lowest validation figure over the mix; NaN where there was no evaluation."""
        return _of(self.column("val_bits_per_byte"), np.min)

    @property
    def tokens_per_second(self) -> float:
        """The median of the rows' paces; NaN where there is none."""
        return _of(self.column("throughput_tps"), np.median)

    @property
    def share_of_peak(self) -> float:
        """Median tokens/s x FLOP per token / the machine's measured FLOP/s; NaN if not measured."""
        peak, flops = self.meta.get("peak_flops"), self.meta.get("flops_per_token")
        if not peak or not flops:
            return math.nan
        return self.tokens_per_second * float(flops) / float(peak)

    @property
    def noted_at(self) -> datetime | None:
        """When the run ended, or else when it last wrote something down."""
        with suppress(KeyError, TypeError, ValueError):
            ended = datetime.fromisoformat(self.meta["ended_at"])
            return ended if ended.tzinfo else ended.replace(tzinfo=UTC)
        for name in (run_log.METRICS, run_log.META):
            with suppress(OSError):
                return datetime.fromtimestamp((self.folder / name).stat().st_mtime, UTC)
        return None

    def outcome(self, now: datetime) -> str:
        """How it ended; `silent` if it says that it is running and wrote nothing for an hour."""
        noted, said = self.noted_at, self.meta.get("outcome")
        if said == "running" and noted and (now - noted).total_seconds() > SILENT_AFTER_S:
            return "silent"
        return str(said or ("done" if 0 < self.planned_steps <= self.steps else "?"))


def read(folder: Path) -> RunRecord:
    """The run in this folder; what is missing or broken is left empty."""
    return RunRecord(
        folder.name,
        folder,
        _tree(folder / run_log.META),
        _tree(folder / run_log.SETTINGS),
        _columns(folder / run_log.METRICS),
        run_log.lines(folder / run_log.SAMPLES),
        run_log.lines(folder / run_log.EVENTS),
    )


def every(runs: Path) -> list[RunRecord]:
    """All runs, newest first."""
    return [read(folder) for folder in _folders(runs)]


def find(runs: Path, name: str) -> RunRecord:
    """The run whose id, or the random end of it, begins with `name`; or `latest`.

    Raises DataError when there is none, or more than one.
    """
    folders = list(_folders(runs))
    if not folders:
        raise DataError(f"no runs in {runs} yet; 'nielsgpt pipeline' makes one")
    if name == LATEST:
        return read(folders[0])
    beginnings = [f for f in folders if any(i.startswith(name) for i in _ids(f))]
    exact = [folder for folder in folders if folder.name == name]
    match exact or beginnings:
        case [folder]:
            return read(folder)
        case []:
            raise DataError(f"no run {name!r} in {runs}; 'nielsgpt runs' lists them")
    shown = ", ".join(folder.name for folder in beginnings[:3])
    raise DataError(
        f"{len(beginnings)} runs begin with {name!r} ({shown}{', ...' * (len(beginnings) > 3)}); "
        "name one of them, or 'latest'"
    )


def marks(record: RunRecord, checkpoints: Path) -> Tree | None:
    """The exam in `checkpoints`/<name>/exam.json, if it asked this run's best weights."""
    folder = checkpoints / record.name
    exam, best = _tree(folder / "exam.json"), _tree(folder / "best.json")
    same = exam.get("weights_sha256") == best.get("weights_sha256") is not None
    return exam if same and best.get("run_id") == record.run_id else None


def _of(values: Column, what: Any) -> float:
    known = values[~np.isnan(values)]
    return float(what(known)) if len(known) else math.nan


def _folders(runs: Path) -> Iterator[Path]:
    found = runs.iterdir() if runs.is_dir() else ()
    for folder in sorted(found, key=lambda path: path.name, reverse=True):
        if any((folder / name).is_file() for name in (run_log.METRICS, run_log.META)):
            yield folder


def _ids(folder: Path) -> tuple[str, str]:
    return folder.name, folder.name.rsplit("-", 1)[-1]


def _tree(path: Path) -> Tree:
    with suppress(NielsError):
        value = read_json(path)
        return value if isinstance(value, dict) else {}
    return {}


def _columns(path: Path) -> dict[str, Column]:
    """The numeric columns; steps that a rollback undid are left out, so that steps only rise."""
    rows: list[dict[str, str]] = []
    for row in reversed(run_log.rows(path)):
        if not rows or int(row["iter"]) < int(rows[-1]["iter"]):
            rows.append(row)
    rows.reverse()
    names = [name for name in rows[0] if name != "phase"] if rows else []
    return {name: np.array([_number(row[name]) for row in rows]) for name in names}


def _number(cell: str) -> float:
    with suppress(ValueError):
        return float(cell)
    return math.nan
