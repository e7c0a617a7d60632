import os
import time
from pathlib import Path

import pytest

from nielsgpt.checkpoint import select
from nielsgpt.errors import CheckpointError
from nielsgpt.system.atomic_files import write_json

HOUR_S = 3600


def place(
    root: Path, name: str, weights: str = "best.pt", age_s: float = 0, phase: str = ""
) -> Path:
    path = root / "checkpoints" / name / weights
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    made_s = time.time() - age_s
    os.utime(path, (made_s, made_s))
    if phase:
        write_json(path.with_suffix(".json"), {"phase": phase})
    return path


def test_the_only_model_is_the_one_meant(tmp_path: Path) -> None:
    assert select.only_model(tmp_path, "sft", "open") is None
    path = place(tmp_path, "night", phase="sft")
    place(tmp_path, "begun", "sft/step_0000010.pt")
    assert select.only_model(tmp_path, "sft", "open") == path


def test_several_are_one_line_that_names_each_newest_first(root: Path) -> None:
    ages = {"old": 50 * HOUR_S, "new": 61, "two words": 1.5 * HOUR_S}
    for name, age_s in ages.items():
        place(Path(), name, age_s=age_s)
    with pytest.raises(CheckpointError) as caught:
        select.only_model(Path(), "sft", "nielsgpt chat --ckpt")
    assert str(caught.value) == (
        "checkpoints has 3 models; name one: "
        "nielsgpt chat --ckpt checkpoints/new/best.pt (1 minute old), "
        "nielsgpt chat --ckpt 'checkpoints/two words/best.pt' (1 hour old), "
        "nielsgpt chat --ckpt checkpoints/old/best.pt (2 days old)"
    )


def test_of_very_many_the_oldest_are_counted(tmp_path: Path) -> None:
    for number in range(11):
        place(tmp_path, f"model{number:02}", age_s=number * HOUR_S)
    with pytest.raises(
        CheckpointError, match=r"model07/best.pt \(7 hours old\), and 3 older ones$"
    ):
        select.only_model(tmp_path, "sft", "open")


def test_a_model_that_never_learnt_to_chat_does_not_count_as_one_that_did(tmp_path: Path) -> None:
    place(tmp_path, "prose", phase="pretrain")
    assert select.only_model(tmp_path, "sft", "open") is None
    path = place(tmp_path, "night", phase="sft")
    assert select.only_model(tmp_path, "sft", "open") == path


def test_pretrained_weights_are_the_best_else_the_latest(tmp_path: Path) -> None:
    place(tmp_path, "chat", phase="sft")
    assert select.only_model(tmp_path, "pretrain", "open") is None
    latest = place(tmp_path, "night", "pretrain/latest.pt", phase="pretrain")
    assert select.only_model(tmp_path, "pretrain", "open") == latest
    best = place(tmp_path, "night", "pretrain/best.pt", phase="pretrain")
    assert select.only_model(tmp_path, "pretrain", "open") == best
