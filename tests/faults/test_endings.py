"""A run that is ended at any moment goes on, and ends with the bits of one that was not."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.config.settings import Settings
from nielsgpt.errors import Stopped
from nielsgpt.pipeline import pipeline, train_phase
from nielsgpt.system.workspace import Workspace
from nielsgpt.training.trainer import Trainer
from tests.faults.disk import Disk, sample, watch
from tests.journeys.conftest import ENVIRONMENT, launch

Patch = pytest.MonkeyPatch
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SOME, MANY = 2, 300


@pytest.fixture(autouse=True)
def _not_under_nohup() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def weights(workspace: Workspace) -> dict[str, str]:
    """The weights behind every name of the model but those of single steps."""
    found = {}
    for path in sorted(workspace.checkpoints.rglob("*t.pt")):
        state = checkpoint_file.load(path)
        name = str(path.relative_to(workspace.checkpoints))
        found[name] = checkpoint_file.weights_sha256(checkpoint_file.kept_weights(state))
    return found


@pytest.fixture
def untrained(copy: Workspace) -> Workspace:
    """Its caches alone."""
    shutil.rmtree(copy.checkpoints)
    shutil.rmtree(copy.runs)
    return copy


def struck(patch: Patch, step: int, *numbers: int) -> None:
    """Send the process these signals within a step."""
    plain = Trainer._accumulate

    def gradients(self: Trainer, *arguments: Any) -> float:
        if self.step == step:
            for number in numbers:
                os.kill(os.getpid(), number)
        return plain(self, *arguments)

    patch.setattr(Trainer, "_accumulate", gradients)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_told_to_end_in_any_step_the_run_saves_and_goes_on_to_the_same_bits(
    number: signal.Signals, untrained: Workspace, examined: Path, monkeypatch: Patch
) -> None:
    for step in range(6):
        with monkeypatch.context() as patched:
            struck(patched, step, number)
            with pytest.raises(Stopped, match=f"stopped at step {step} of 6, which is saved") as e:
                train_phase.train(untrained, "pretrain")
        assert e.value.exit_code == 128 + number
    train_phase.train(untrained, "pretrain")
    train_phase.train(untrained, "sft")
    assert weights(untrained) == weights(Workspace(examined, untrained.settings))


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_second_signal_ends_at_once_and_tears_nothing(
    number: signal.Signals, untrained: Workspace, examined: Path, monkeypatch: Patch
) -> None:
    with monkeypatch.context() as patched:
        struck(patched, 3, number, number)
        with pytest.raises(KeyboardInterrupt):
            train_phase.train(untrained, "pretrain")
    train_phase.train(untrained, "pretrain")
    straight = weights(Workspace(examined, untrained.settings))
    assert weights(untrained)["pretrain/best.pt"] == straight["pretrain/best.pt"]


def test_under_nohup_the_end_of_the_terminal_is_no_end_of_the_run(
    untrained: Workspace, monkeypatch: Patch
) -> None:
    struck(monkeypatch, 3, signal.SIGHUP)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        train_phase.train(untrained, "pretrain")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert checkpoint_file.load(untrained.checkpoints / "pretrain/latest.pt")["step"] == 6


def watched(phase: Any, workspace: Workspace, patch: Patch) -> Disk:
    return watch(workspace.root, lambda: train_phase.train(workspace, phase), patch)


@pytest.mark.parametrize(
    ("phase", "most"),
    [
        ("pretrain", SOME),
        *(
            pytest.param(phase, MANY, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])
            for phase in ("pretrain", "sft")
        ),
    ],
)
def test_a_training_cut_off_before_any_of_its_file_operations_ends_with_the_same_weights(
    phase: Any, most: int, untrained: Workspace, tmp_path: Path, monkeypatch: Patch
) -> None:
    if phase == "sft":
        train_phase.train(untrained, "pretrain")
    disk = watched(phase, untrained, monkeypatch)
    straight = weights(untrained)
    for number, state in enumerate(sample(disk, most)):
        place = Workspace(state.put(tmp_path / str(number)), untrained.settings)
        train_phase.train(place, phase)
        assert weights(place) == straight, state.fault
        shutil.rmtree(place.root)
    assert len(disk.states) > 200


def begun(folder: Path, settings: Settings, **over: Any) -> "subprocess.Popen[bytes]":
    (folder / "long.json").write_text(settings.model_dump_json())
    words = ("pretrain", "-c", "long.json", "--set", "training.pretrain.max_steps=100000")
    code = "from cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=folder, env=ENVIRONMENT, **over
    )


def until(path: Path, process: "subprocess.Popen[bytes]") -> None:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.05)


@pytest.mark.slow
def test_a_terminal_that_is_closed_ends_the_run_after_saving(
    untrained: Workspace, settings: Settings
) -> None:
    ours, theirs = pty.openpty()
    process = begun(untrained.root, settings, stderr=theirs, stdout=theirs, start_new_session=True)
    os.close(theirs)
    os.set_blocking(ours, False)
    until(untrained.checkpoints / "pretrain/latest.pt", process)
    os.close(ours)
    os.kill(process.pid, signal.SIGHUP)
    assert process.wait(30) == 129
    (run,) = untrained.runs.iterdir()
    assert '"outcome": "stopped"' in (run / "run_meta.json").read_text()
    newest = checkpoint_file.load(untrained.checkpoints / "pretrain/latest.pt")
    assert f'"steps": {newest["step"]}' in (run / "run_meta.json").read_text()


@pytest.mark.slow
def test_of_two_trainings_of_one_model_the_second_is_one_line(
    untrained: Workspace, settings: Settings
) -> None:
    process = begun(untrained.root, settings, stderr=subprocess.DEVNULL)
    until(untrained.checkpoints / "pretrain/latest.pt", process)
    for command in ("pretrain", "sft", "pipeline"):
        ran = launch(untrained.root, command, "-c", "long.json")
        assert ran.returncode == 2
        assert f"is in use by process {process.pid}" in ran.stderr.splitlines()[-1]
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_four_that_build_the_same_caches_at_once_leave_one_sound_set(
    settings: Settings, tmp_path: Path, examined: Path
) -> None:
    (tmp_path / "tiny.json").write_text(settings.model_dump_json())
    code = "from cli.main import main; main()"
    words = [sys.executable, "-c", code, "caches", "-c", "tiny.json"]
    running = [
        subprocess.Popen(words, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in running:
        _, said = process.communicate(timeout=200)
        assert process.returncode in (0, 2), said
        assert process.returncode == 0 or "is in use by process" in said.splitlines()[-1]
    pipeline.caches(Workspace(tmp_path, settings))
    made = {path.name: path.read_bytes() for path in (tmp_path / "data").rglob("*.bin")}
    straight = {path.name: path.read_bytes() for path in (examined / "data").rglob("*.bin")}
    assert made == straight
