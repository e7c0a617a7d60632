"""Runs to report on, written by the log of real runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from nielsgpt.system.atomic_files import write_json
from nielsgpt.training.evaluate import Evaluation
from nielsgpt.training.run_log import RunLog, write_meta

META = {
    "name": "tiny",
    "phase": "sft",
    "max_steps": 6,
    "params": 1_234_567,
    "flops_per_token": 1000,
    "created_at": "2026-11-21T10:00:00+00:00",
    "origin": {"primer": "7cb2d64d2770755a"},
}
SETTINGS = {"name": "tiny", "seed": 1, "model": {"n_layer": 2, "d_ff": None}}
SECOND = "20261121-110000-bbbb2222"
FIRST = "20261121-100000-aaaa1111"
Make = Callable[..., Path]


def write_run(
    runs: Path,
    run_id: str = FIRST,
    steps: int = 6,
    eval_every: int = 3,
    sources: Sequence[str] = ("primer", "text"),
    settings: dict[str, Any] | None = None,
    **meta: Any,
) -> Path:
    """The folder of a run: loss 4 / step, and 60 / step nats in each evaluation."""
    folder = runs / run_id
    write_meta(folder, {**META, "run_id": run_id, **meta}, {**SETTINGS, **(settings or {})})
    log = RunLog(folder, "sft", list(sources), 0, steps, 1)
    for step in range(1, steps + 1):
        row = {"iter": step, "train_loss": 4 / step, "lr": 0.001 * step, "grad_norm": 1.0 + step}
        row |= {"tokens": 1000, "tokens_seen": 1000 * step}
        evaluations = {}
        if eval_every and step % eval_every == 0:
            evaluations = {name: Evaluation(60 / step, 10, 20) for name in sources}
            loss, bits = evaluations[sources[0]].loss, evaluations[sources[0]].bits_per_byte
            row |= {"val_loss": loss, "val_loss_raw": loss, "val_bits_per_byte": bits}
        log.record(row, evaluations)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An empty folder of runs."""
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def make(runs: Path) -> Make:
    """A function that writes a run to the folder of runs."""

    def call(*args: Any, **changes: Any) -> Path:
        return write_run(runs, *args, **changes)

    return call


EXAM = {
    "weights_sha256": "0787e6",
    "ended": 20,
    "replies": 20,
    "sections": [
        {
            "section": "known facts",
            "right": 8,
            "total": 10,
            "interval": [0.490162, 0.943318],
            "chance": 0.25,
        }
    ],
    "verbatim": [{"source": "text", "tokens": 32, "train": [3, 100], "val": [0, 90]}],
    "wrong": [{"section": "known facts", "question": "2 < 3?", "reply": "<b>No</b> & never."}],
}


def write_exam(root: Path, run_id: str, weights: str = "0787e6") -> None:
    """Write an exam that scored the weights of this run."""
    folder = root / "checkpoints" / "tiny"
    write_json(folder / "exam.json", EXAM)
    write_json(folder / "best.json", {"run_id": run_id, "weights_sha256": weights})
