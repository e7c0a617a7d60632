"""`nielsgpt doctor`: what it prints, and the exit code that a night may depend on."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cli.doctor import chosen_engine
from cli.main import main
from nielsgpt.config.settings import Settings
from nielsgpt.system import machine
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.byte import ByteTokenizer
from nielsgpt.training.autotune import TuningKey

Doctor = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("no_memory")


@pytest.fixture
def doctor(
    root: Path,
    tiny: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Doctor:
    """Runs the command; its exit code, what it prints and what it says on stderr."""
    monkeypatch.setattr("nielsgpt.system.device.SIDES", {"cpu": 64})
    monkeypatch.setattr("nielsgpt.system.device.SMALL_SIDE", 64)
    (root / "tiny.json").write_text(json.dumps(tiny().model_dump(mode="json")), encoding="utf-8")

    def call(*options: str) -> tuple[int, str, str]:
        code = 0
        try:
            main(["doctor", "-c", "tiny.json", *options])
        except SystemExit as leave:
            code = int(leave.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def wrong_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes torch's linear map wrong by a fifth in bfloat16."""
    sound = F.linear

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return sound(x, weight * 1.2 if weight.dtype == torch.bfloat16 else weight, bias)

    monkeypatch.setattr(F, "linear", linear)


def test_a_sound_machine_is_told_whole_and_leaves_with_0(doctor: Doctor, root: Path) -> None:
    code, told, complaint = doctor()
    assert (code, complaint) == (0, "")
    lines = told.splitlines()
    for name in ("processor", "units", "memory", "disk", "software", "system", "products"):
        assert any(line.startswith(f"{name} ") for line in lines), name
    assert f"free in {root.resolve()}" in told
    rows = [line.split() for line in lines if line.startswith("cpu ")]
    ways = [(p, a) for p in ("fp32", "bf16", "fp16") for a in ("plain", "fused")]
    assert [tuple(row[1:3]) for row in rows] == ways
    assert all("correct" in row and "yes" in row for row in rows)
    assert lines[-1] == "a run takes cpu fp32 fused here, numerically correct"
    table = lines[lines.index("") :]
    assert max(map(len, table)) <= 80
    assert "\x1b" not in told


def test_a_run_on_a_wrong_path_leaves_with_1_and_one_line(doctor: Doctor, wrong_bf16: None) -> None:
    code, told, complaint = doctor("--set", "device.precision=bf16")
    assert code == 1
    assert told.count("WRONG") == 2
    (line,) = complaint.splitlines()
    assert line.startswith("error: cpu bf16 plain gives wrong results on this machine: the ")
    assert line.endswith("; add --set device.precision=fp32, which passed")


def test_a_wrong_path_that_the_run_does_not_take_is_shown_and_leaves_with_0(
    doctor: Doctor, wrong_bf16: None
) -> None:
    code, told, complaint = doctor("--set", "device.precision=fp32")
    assert (code, complaint) == (0, "")
    assert told.count("WRONG") == 2
    assert "where rounding explains 7.8 %" in told


def test_a_device_that_is_not_here_is_one_line_and_2(doctor: Doctor) -> None:
    assert doctor("--device", "cuda:99")[0] == 2


def test_the_way_that_was_once_measured_here_is_the_one_judged(
    root: Path, tiny: Callable[..., Settings]
) -> None:
    settings = tiny(device={"measure": True, "precision": "auto"})
    workspace, vocabulary = Workspace(root, settings), ByteTokenizer.vocab_size
    question = TuningKey(settings.device, settings.model, vocabulary, settings.training.pretrain)
    measured = ExecutionConfig("cpu", "fp16", "plain", False, 1, 2)
    assert chosen_engine(workspace, "cpu").precision != "fp16"
    machine.remember("engines", question.key("cpu"), {"engine": measured.facts()})
    assert chosen_engine(workspace, "cpu") == measured


@pytest.mark.slow
def test_the_compiled_path_is_checked_where_a_compiler_works(doctor: Doctor) -> None:
    code, told, complaint = doctor("--set", "device.compile=auto")
    assert (code, complaint) == (0, "")
    works = "torch.compile works" in told
    assert ("cpu fp32 fused compiled" in told) == works
