"""Where the numbers go beside the run's own files, and what is said where a package is missing."""

import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import pytest

from nielsgpt.errors import SettingsError
from nielsgpt.training.trackers import TensorBoard, WeightsAndBiases, open_trackers, scalars

RUN = "20261121-100000-0badcafe"


def test_the_numbers_of_a_row_get_names_with_slashes() -> None:
    row = {"iter": 7, "train_loss": 2.5, "val_loss": 2.0, "val_bits_per_byte": 1.5, "lr": 0.1}
    row |= {"grad_norm": 1, "throughput_tps": 9.0, "text_loss": 3.0, "text_bits_per_byte": 1.75}
    row |= {"phase": "sft", "tokens": 64, "rate_scale": None}
    assert scalars(row) == {
        "train/loss": 2.5,
        "val/loss": 2.0,
        "val/bits_per_byte": 1.5,
        "val/text/bits_per_byte": 1.75,
        "lr": 0.1,
        "grad_norm": 1.0,
        "throughput_tps": 9.0,
    }


def curve(folder: Path) -> list[tuple[int, float]]:
    """What TensorBoard itself reads of train/loss."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulators.EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars("train/loss")]


def log(folder: Path, points: list[tuple[int, float]]) -> None:
    (tracker,) = open_trackers(["tensorboard"], folder, RUN, {"seed": 1})
    for step, value in points:
        tracker.log(step, {"train/loss": value})
    tracker.close()


def test_tensorboard_shows_the_curve_and_after_a_resume_only_the_steps_that_count(
    tmp_path: Path,
) -> None:
    pytest.importorskip("tensorboard")
    log(tmp_path, [(1, 4.0), (2, 3.0), (3, 99.0)])
    assert curve(tmp_path) == [(1, 4.0), (2, 3.0), (3, 99.0)]
    log(tmp_path, [(3, 2.0), (4, 1.0)])
    assert curve(tmp_path) == [(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)]


def test_a_tracker_that_was_told_nothing_writes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    log(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_one_line_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TensorBoard, "package", "there_is_no_such_package")
    line = "the tracker tensorboard is not installed; run: pip install 'nielsgpt[tensorboard]'"
    with pytest.raises(SettingsError, match=f"^{re.escape(line)}$"):
        open_trackers(["tensorboard"], tmp_path, RUN, {})


def test_nothing_is_opened_where_one_of_the_packages_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(TensorBoard, "package", "there_is_no_such_package")
    with pytest.raises(SettingsError):
        open_trackers(["wandb", "tensorboard"], tmp_path, RUN, {})
    assert list(tmp_path.iterdir()) == []


def test_weights_and_biases_works_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(WeightsAndBiases.package)
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tracker,) = open_trackers(["wandb"], tmp_path, RUN, {"seed": 1, "model": {"n_layer": 2}})
    tracker.log(1, {"train/loss": 4.0})
    tracker.close()
    (file,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    assert RUN.encode() in file.read_bytes()


def test_a_service_that_refuses_is_one_warning_with_two_ways_out_and_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Refused(Exception):
        """What the package raises."""

    def init(**given: object) -> None:
        raise Refused("api_key not configured (no-tty)\nsee its documentation")

    package = SimpleNamespace(init=init, Settings=dict, errors=SimpleNamespace(Error=Refused))
    package.__spec__ = ModuleSpec(WeightsAndBiases.package, None)  # it is installed
    monkeypatch.setitem(sys.modules, WeightsAndBiases.package, package)
    line = (
        "the tracker wandb did not start (api_key not configured (no-tty)); "
        "log in with 'wandb login', or set WANDB_MODE=offline"
    )
    with pytest.raises(SettingsError, match=f"^{re.escape(line)}$"):
        WeightsAndBiases(tmp_path, RUN, {})
    (tracker,) = open_trackers(["wandb", "tensorboard"], tmp_path, RUN, {})
    assert isinstance(tracker, TensorBoard)
    warning = f"tracking failed ({line}); continuing without it"
    assert [record.getMessage() for record in caplog.records] == [warning]
