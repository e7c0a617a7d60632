"""The log of a run: runs/<run_id>/ with its metrics, events, samples and metadata.

metrics.csv    iter,train_loss,val_loss,...,lr,time_sec,tokens_seen,...,grad_norm,phase,...
events.jsonl   {"time": "2026-11-21T10:00:00+00:00", "phase": "sft", "step": 7, "kind": "skip", ...}
samples.jsonl  {"phase": "sft", "step": 200, "prompt": "Who are you?", "reply": "Vera."}
"""

import csv
import io
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from nielsgpt.checkpoint.contents import Facts, MetricsRow
from nielsgpt.errors import NielsError, best_effort
from nielsgpt.progress import Progress
from nielsgpt.system.atomic_files import (
    explain_unwritable,
    read_json,
    write_json,
    write_sealed,
    write_text,
)
from nielsgpt.system.machine import MachineFacts
from nielsgpt.training.trackers import Tracker, scalars

if TYPE_CHECKING:
    from nielsgpt.training.evaluate import Evaluation  # loads torch, which a reader has no need of

METRICS, EVENTS, SAMPLES = "metrics.csv", "events.jsonl", "samples.jsonl"
META, SETTINGS = "run_meta.json", "resolved_settings.json"
DOCUMENTED = (
    *("iter", "train_loss", "val_loss", "val_loss_raw", "val_loss_ema", "best_val_loss"),
    *("best_val_loss_raw", "best_val_loss_ema", "lr", "time_sec", "tokens_seen"),
    *("throughput_tps", "grad_norm"),
)
OPTIONAL = ("micro_batch_size", "supervised_tokens", "rate_scale")


class Hardware(MachineFacts):
    """The machine that a run was trained on."""

    torch: str
    gpu: str | None


class Memory(TypedDict, total=False):
    """The memory that a run was expected to need, and the most that it took."""

    forecast_bytes: int
    peak_bytes: int | None


class RunMeta(Facts, total=False):
    """run_meta.json; the last five are written when the run ends."""

    arch: str
    device: str
    train_config: dict[str, object]
    model_config: dict[str, object]
    params: int
    flops_per_token: float
    tokens_per_step: int
    created_at: str
    hardware: Hardware
    command: list[str]
    version: str
    peak_flops: float
    outcome: str
    ended_at: str
    seconds: float
    steps: int
    memory: Memory


class Event(TypedDict, total=False):
    """A line of events.jsonl."""

    time: str
    phase: str
    step: int
    kind: str
    text: str


class Sample(TypedDict, total=False):
    """A line of samples.jsonl."""

    phase: str
    step: int
    prompt: str
    reply: str


def new_run_id() -> str:
    """UTC time and eight random hex digits: sorts by age, never collides."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


class RunLog:
    """Rows of metrics.csv, the events, the samples and the progress line of one phase.

    A resumed run continues in the same folder; rows of steps that it will repeat are removed.
    Every row's numbers go to the trackers too. Raises RunError where the disk is full. One that is
    not `enabled`, as on every rank but 0, writes and shows nothing.
    """

    def __init__(
        self,
        folder: Path,
        phase: str,
        sources: list[str],
        start: int,
        total: int,
        log_every: int,
        trackers: Sequence[Tracker] = (),
        enabled: bool = True,
    ) -> None:
        self.folder = folder
        self.path = folder / METRICS
        self.phase = phase
        self.log_every = log_every
        self.trackers = trackers
        self.enabled = enabled
        own = [f"{name}_{figure}" for name in sources for figure in ("loss", "bits_per_byte")]
        self.columns = [*DOCUMENTED, "phase", "val_bits_per_byte", *own, *OPTIONAL]
        self.progress = Progress(phase, total, start, enabled)
        self._last: dict[str, object] = {}
        self._elapsed = self._keep(start, EVENTS, SAMPLES)
        self._began = self._mark = time.monotonic()
        self._tokens = 0

    def record(self, row: MetricsRow, evaluations: Mapping[str, "Evaluation"]) -> None:
        """Note one step; a row is written every `log_every` steps and at each evaluation."""
        if not self.enabled:
            return
        self._tokens += row["tokens"]
        if evaluations or row["iter"] % self.log_every == 0 or row["iter"] == self.progress.total:
            self._last = self._full(row, evaluations)
            self._append(METRICS, self._csv([self._last]))
            self._track(lambda tracker: tracker.log(row["iter"], scalars(self._last)))
        text = f"loss {row['train_loss']:.3f}"
        if self._last:
            text += f"  {self._last['throughput_tps']:,.0f} tok/s"
        self.progress.show(row["iter"], text)

    def event(self, step: int, kind: str, text: str) -> None:
        """Note what happened at a step, in words.

        Kinds are skip, rollback, out of memory, horizon, early stop, stopped.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line: Event = {"time": now, "phase": self.phase, "step": step, "kind": kind, "text": text}
        self._append(EVENTS, _jsonl([line]))

    def samples(self, step: int, pairs: Sequence[tuple[str, str]]) -> None:
        """Note what the model answers at a step, as (prompt, reply)."""
        noted: list[Sample] = [
            {"phase": self.phase, "step": step, "prompt": prompt, "reply": reply}
            for prompt, reply in pairs
        ]
        self._append(SAMPLES, _jsonl(noted))

    def rewind(self, step: int) -> None:
        """Take back the rows and samples after a step that the run went back to; events stay."""
        self._keep(step, SAMPLES)

    def close(self) -> None:
        """End the trackers, which send or write what they still hold."""
        self._track(lambda tracker: tracker.close())

    def _track(self, work: Callable[[Tracker], None]) -> None:
        """Hand work to every tracker; one that fails is named once and dropped."""
        for tracker in tuple(self.trackers):
            failed = True
            with best_effort(f"the tracker {type(tracker).__name__}"):
                work(tracker)
                failed = False
            if failed:
                self.trackers = [other for other in self.trackers if other is not tracker]

    def _keep(self, step: int, *names: str) -> float:
        """Rewrite metrics.csv and these files up to a step; the seconds of the last row kept."""
        if not self.enabled:
            return 0.0
        kept = [row for row in rows(self.path) if int(row["iter"]) <= step]
        heading = dict(zip(self.columns, self.columns, strict=True))
        write_text(self.path, self._csv([heading, *kept]))
        for path in (self.folder / name for name in names):
            if path.exists():
                write_text(path, _jsonl(line for line in lines(path) if line["step"] <= step))
        return float(kept[-1]["time_sec"]) if kept else 0.0

    def _full(self, row: MetricsRow, evaluations: Mapping[str, "Evaluation"]) -> dict[str, object]:
        """The row with each source's figures, the time, and the pace since the last one."""
        now = time.monotonic()
        pace = self._tokens / max(now - self._mark, 1e-9)
        self._mark, self._tokens = now, 0
        figures = {
            f"{name}_{figure}": getattr(evaluation, figure)
            for name, evaluation in evaluations.items()
            for figure in ("loss", "bits_per_byte")
        }
        clock = {
            "throughput_tps": round(pace, 1),
            "time_sec": round(self._elapsed + now - self._began, 3),
        }
        return {**row, **figures, **clock, "phase": self.phase}

    def _append(self, name: str, text: str) -> None:
        """Written at once, not fsynced: after a power loss the checkpoint rules, not the notes."""
        if not self.enabled:
            return
        path = self.folder / name
        try:
            with path.open("a", encoding="utf-8", newline="") as file:
                file.write(text)
        except OSError as error:
            raise explain_unwritable(path, error) from error

    def _csv(self, rows: Iterable[Mapping[str, object]]) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, extrasaction="ignore", lineterminator="\n")
        writer.writerows(rows)
        return text.getvalue()


def rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of a metrics.csv, as text by column; a torn one is left out."""
    found = csv.DictReader(_whole_lines(path))
    whole = [row for row in found if None not in row and None not in row.values()]
    return [row for row in whole if row.get("iter", "").isdecimal()]


def read_events(folder: Path) -> list[Event]:
    """The events of a run."""
    return lines(folder / EVENTS)


def read_samples(folder: Path) -> list[Sample]:
    """The samples of a run."""
    return lines(folder / SAMPLES)


def lines(path: Path) -> list[Any]:
    """The whole lines of an events.jsonl or samples.jsonl that name their step."""
    found = []
    for line in _whole_lines(path):
        with suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict) and isinstance(value.get("step"), int):
                found.append(value)
    return found


def _whole_lines(path: Path) -> list[str]:
    """The lines that were written to their end; none where there is no file."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []


def _jsonl(values: Iterable[Mapping[str, object]]) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def write_meta(folder: Path, meta: RunMeta, settings: Mapping[str, object]) -> None:
    """run_meta.json and resolved_settings.json of a run."""
    write_sealed(folder / META, meta)
    write_json(folder / SETTINGS, dict(settings))


def read_meta(folder: Path) -> RunMeta:
    """run_meta.json of a run; empty where it is gone or damaged."""
    meta: RunMeta = _read_object(folder / META)
    return meta


def read_settings(folder: Path) -> dict[str, object]:
    """resolved_settings.json of a run; empty where it is gone or damaged."""
    settings: dict[str, object] = _read_object(folder / SETTINGS)
    return settings


def _read_object(path: Path) -> Any:
    with suppress(NielsError):
        value = read_json(path)
        return value if isinstance(value, dict) else {}
    return {}
