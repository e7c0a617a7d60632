"""What a run writes down as it goes: runs/<run_id>/ with metrics.csv, run_meta.json and settings.

iter,train_loss,val_loss,...,lr,time_sec,tokens_seen,throughput_tps,grad_norm,phase,...
"""

import csv
import io
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nielsgpt.progress import Progress
from nielsgpt.training.evaluate import Evaluation
from nielsgpt.workspace import unwritable, write_json, write_text

DOCUMENTED = (
    *("iter", "train_loss", "val_loss", "val_loss_raw", "val_loss_ema", "best_val_loss"),
    *("best_val_loss_raw", "best_val_loss_ema", "lr", "time_sec", "tokens_seen"),
    *("throughput_tps", "grad_norm"),
)


def new_run_id() -> str:
    """UTC time and eight random hex digits: sorts by age, never collides."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


class Journal:
    """Rows of metrics.csv and the progress line of one phase.

    A resumed run goes on in the same folder; rows of steps that it will repeat are removed.
    """

    def __init__(
        self, folder: Path, phase: str, sources: list[str], start: int, total: int, log_every: int
    ) -> None:
        self.path, self.phase, self.log_every = folder / "metrics.csv", phase, log_every
        own = [f"{name}_{figure}" for name in sources for figure in ("loss", "bits_per_byte")]
        self.columns = [*DOCUMENTED, "phase", "val_bits_per_byte", *own]
        self.progress = Progress(phase, total, start)
        self._last: dict[str, Any] = {}
        kept = self._kept(start)
        self._elapsed = float(kept[-1]["time_sec"]) if kept else 0.0
        self._began = self._mark = time.monotonic()
        self._tokens = 0
        write_text(
            self.path, self._csv([dict(zip(self.columns, self.columns, strict=True)), *kept])
        )

    def record(self, row: Mapping[str, Any], evaluations: Mapping[str, Evaluation]) -> None:
        """Note one step; a row is written every `log_every` steps and at each evaluation."""
        self._tokens += row["tokens"]
        if evaluations or row["iter"] % self.log_every == 0 or row["iter"] == self.progress.total:
            now = time.monotonic()
            pace = self._tokens / max(now - self._mark, 1e-9)
            self._mark, self._tokens = now, 0
            figures = {
                f"{name}_{figure}": getattr(evaluation, figure)
                for name, evaluation in evaluations.items()
                for figure in ("loss", "bits_per_byte")
            }
            full = {**row, **figures, "phase": self.phase, "throughput_tps": round(pace, 1)}
            full["time_sec"] = round(self._elapsed + now - self._began, 3)
            try:
                with self.path.open("a", encoding="utf-8", newline="") as file:
                    file.write(self._csv([full]))
            except OSError as error:
                raise unwritable(self.path, error) from error
            self._last = full
        text = f"loss {row['train_loss']:.3f}"
        if self._last:
            text += f"  {self._last['throughput_tps']:,.0f} tok/s"
        self.progress.show(row["iter"], text)

    def _kept(self, start: int) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        whole = [row for row in rows if row.get("grad_norm") and row["iter"].isdigit()]
        return [row for row in whole if int(row["iter"]) <= start]

    def _csv(self, rows: list[dict[str, Any]]) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, extrasaction="ignore", lineterminator="\n")
        writer.writerows(rows)
        return text.getvalue()


def write_meta(folder: Path, meta: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """run_meta.json and resolved_settings.json of a run."""
    write_json(folder / "run_meta.json", dict(meta))
    write_json(folder / "resolved_settings.json", dict(settings))
