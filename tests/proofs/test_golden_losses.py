"""The mathematics stays: three tiny float32 runs give the losses that are kept beside this file.

A change that means to change them writes them again: `python -m tests.proofs.test_golden_losses`.
"""

import csv
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import launch

GOLDEN = Path(__file__).with_name("golden_losses.json")
WORDS = [
    "lamp",
    "boat",
    "rope",
    "coin",
    "tide",
    "gull",
    "rock",
    "wind",
    "salt",
    "door",
    "stair",
    "night",
    "storm",
    "bread",
]
STEPS = {
    "max_steps": 8,
    "batch_size": 8,
    "micro_batch_size": 2,
    "warmup_steps": 2,
    "eval_every": 4,
    "eval_batches": 2,
    "checkpoint_every": 4,
    "log_every": 1,
}
CONFIG: dict[str, Any] = {
    "name": "golden",
    "tokenizer": {"kind": "byte"},
    "data": {
        "text": {"path": "text"},
        "chat": {"path": "chat.jsonl"},
        "mix_pretrain": {"text": 1.0},
        "mix_sft": {"chat": 1.0},
        "val_fraction": 0.2,
    },
    "model": {"n_layer": 2, "n_head": 2, "n_embd": 32, "context_length": 64},
    "training": {
        "pretrain": {**STEPS, "optimizer": "muon", "ema_decay": 0.9},
        "sft": {**STEPS, "optimizer": "adamw", "label_smoothing": 0.1},
        "report": False,
    },
    "device": {
        "device": "cpu",
        "precision": "fp32",
        "compile": "off",
        "threads": 1,
        "measure": False,
    },
}


def write_corpus(folder: Path) -> None:
    """Texts and conversations that are the same on every machine."""
    draw = random.Random(7)
    (folder / "text").mkdir()
    for number in range(40):
        lines = (" ".join(draw.choices(WORDS, k=9)) for _ in range(12))
        (folder / "text" / f"{number:02}.txt").write_text("\n".join(lines) + "\n")
    chats = []
    for word in WORDS * 4:
        question = f"{draw.choice(WORDS)} {draw.choice(WORDS)} {word}?"
        reply = {"role": "assistant", "content": f"{word} {draw.choice(WORDS)}."}
        chats.append(json.dumps([{"role": "user", "content": question}, reply]))
    (folder / "chat.jsonl").write_text("\n".join(chats) + "\n")
    (folder / "golden.json").write_text(json.dumps(CONFIG))


def losses(folder: Path, *words: str) -> dict[str, list[float]]:
    """The losses in the metrics of the run that the command makes."""
    before = set(folder.glob("runs/*"))
    ran = launch(folder, *words, "--config", "golden.json")
    assert ran.returncode == 0, ran.stderr
    (made,) = set(folder.glob("runs/*")) - before
    with (made / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ("train_loss", "val_loss", "val_loss_raw", "grad_norm")
    return {name: [float(row[name]) for row in rows if row[name]] for name in columns}


def measure(folder: Path) -> dict[str, dict[str, list[float]]]:
    """The three runs: pretraining, SFT from it, and pretraining by two processes."""
    write_corpus(folder)
    two = ("--nproc", "2", "--set", "name=two", "--set", "device.parallel=ddp")
    return {
        "pretrain": losses(folder, "pretrain"),
        "sft": losses(folder, "sft"),
        "two processes": losses(folder, "pretrain", *two),
    }


def test_three_tiny_runs_give_the_losses_that_were_kept(tmp_path: Path) -> None:
    golden, measured = json.loads(GOLDEN.read_text()), measure(tmp_path)
    for run, columns in golden.items():
        assert all(len(values) >= 2 for values in columns.values())
        for column, values in columns.items():
            near = pytest.approx(values, rel=1e-6, abs=1e-6)
            assert measured[run][column] == near, (run, column)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        GOLDEN.write_text(json.dumps(measure(Path(name)), indent=1) + "\n")
