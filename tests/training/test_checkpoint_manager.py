"""Saved in the background, never torn, never the last sound state removed."""

import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.checkpoint.contents import RunMetadata
from nielsgpt.errors import RunError
from nielsgpt.system import machine
from nielsgpt.training.checkpoint_manager import CheckpointManager


def trainer(step: int, value: float = 1.0, size: int = 64) -> Any:
    weights = {"w": torch.full((size,), value)}
    state = {"step": step, "weights": weights, "average": None, "optimizer": [{}]}
    return SimpleNamespace(
        step=step,
        tokens_seen=step,
        best=1.0,
        evaluations={},
        weights=weights,
        state=lambda: state,
    )


def store(folder: Path, keep: int = 2) -> CheckpointManager:
    return CheckpointManager(
        folder / "pretrain", RunMetadata("pretrain", "tiny"), {"settings": {}}, keep
    )


def steps(folder: Path) -> list[str]:
    return [path.name for path in checkpoint_file.newest_first(folder / "pretrain")]


def test_what_is_written_is_the_state_at_the_save_whatever_comes_after(tmp_path: Path) -> None:
    made, kept = trainer(1, size=2**20), store(tmp_path)
    kept.save(made, True)
    made.weights["w"].fill_(7.0)
    newest = kept.newest()
    assert newest is not None
    assert set(newest["weights"]["w"].tolist()) == {1.0}
    again = checkpoint_file.load(tmp_path / "best.pt")
    assert again["facts"]["weights_sha256"] == checkpoint_file.weights_sha256(newest["weights"])


def test_the_newest_states_stay_and_best_stays_whatever_its_age(tmp_path: Path) -> None:
    kept = store(tmp_path)
    for step in range(1, 6):
        kept.save(trainer(step, float(step)), improved=step == 1)
    kept.finish()
    assert steps(tmp_path) == ["step_0000005.pt", "step_0000004.pt"]
    assert checkpoint_file.load(tmp_path / "pretrain" / "best.pt")["step"] == 1
    assert checkpoint_file.load(tmp_path / "latest.pt")["step"] == 5


def test_damaged_later_states_never_crowd_out_sound_ones(tmp_path: Path) -> None:
    kept = store(tmp_path)
    for step in (4, 6, 8):
        kept.save(trainer(step), False)
        kept.keep = 3
    kept.finish()
    for step in (6, 8):
        path = tmp_path / "pretrain" / checkpoint_file.step_name(step)
        path.unlink()
        path.write_bytes(b"torn")
    again = store(tmp_path)
    newest = again.newest()
    assert newest is not None and newest["step"] == 4
    again.save(trainer(5), False)
    newest = again.newest()
    assert newest is not None and newest["step"] == 5
    assert {"step_0000005.pt", "step_0000004.pt"} <= set(steps(tmp_path))


def test_a_nearly_full_disk_costs_old_states_first_and_then_ends_the_run_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = store(tmp_path, keep=3)
    for step in (1, 2, 3):
        kept.save(trainer(step), improved=step == 1)
    kept.finish()
    free = iter([10, 10**9])
    monkeypatch.setattr(machine, "free_disk_bytes", lambda folder: next(free))
    kept.keep = 2
    kept.save(trainer(4), False)
    kept.finish()
    assert steps(tmp_path) == ["step_0000004.pt", "step_0000003.pt"]
    monkeypatch.setattr(machine, "free_disk_bytes", lambda folder: 10)
    line = r"no space left to write .*step_0000005.pt: .* MiB are needed and 0 MiB are free"
    with pytest.raises(RunError, match=line) as raised:
        kept.save(trainer(5), False)
    assert "\n" not in str(raised.value)
    newest = kept.newest()
    assert newest is not None and newest["step"] == 4
    assert checkpoint_file.load(tmp_path / "best.pt")["step"] == 1


def test_a_write_that_fails_in_the_background_says_so_and_tears_nothing(tmp_path: Path) -> None:
    """The limit on a file's size stands for a full disk: the system refuses the bytes."""
    kept = store(tmp_path)
    kept.save(trainer(1), True)
    kept.finish()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    try:
        kept.save(trainer(2, size=2**20), True)
        with pytest.raises(RunError, match=r"no space left to write .*step_0000002.pt"):
            kept.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert steps(tmp_path) == ["step_0000001.pt"]
    assert not list(tmp_path.rglob(".*.tmp-*"))
    newest = kept.newest()
    assert newest is not None and newest["step"] == 1


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.save(trainer(1), True)
    kept.finish()
    path = tmp_path / "pretrain" / checkpoint_file.step_name(1)
    assert checkpoint_file.read_entry(path)["step"] == 1
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)
    assert checkpoint_file.read_entry(path) == {}
