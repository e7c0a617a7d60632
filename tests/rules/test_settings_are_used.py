"""No dead knobs and no second truths, as `nielsgpt config --audit` finds them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.config import command
from nielsgpt.system import settings_audit


def test_every_setting_is_read_and_no_number_is_written_twice() -> None:
    ran = CliRunner().invoke(command, ["--audit"])
    assert (ran.exit_code, ran.output) == (0, f"OK {len(settings_audit.files())} files scanned\n")


def test_an_audit_finds_what_it_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_audit, "REPOSITORY", tmp_path)
    path = tmp_path / "nielsgpt" / "a.py"
    path.parent.mkdir()
    path.write_text("def f(x, *, top_k=5, other=3, tied=True): return x.n_layer\n")
    found = list(settings_audit.faults(settings_audit.files()))
    assert found[0] == "nielsgpt/a.py:1: top_k has a number of its own; read it from the settings"
    assert not any(line.startswith("model.n_layer ") for line in found)
    assert "model.n_head is read nowhere; remove it from the settings" in found


PLANTED = [
    "learning_rate = 3e-4",
    "LEARNING_RATE = 3e-4",
    "base_lr = 3e-4",
    "weight_decay: float = 0.1",
    "self.n_layer = 6",
    "beta1, beta2 = 0.9, 0.95",
    "betas = (0.9, 0.95)",
    "optimizer = AdamW(parameters, lr=3e-4)",
    "AdamW(parameters, betas=(0.9, 0.95))",
    "AdamW(parameters, 0, weight_decay=0.1)",
    "numbers = {'warmup_steps': 200}",
    "numbers['grad_clip'] = 2.0",
    "def f(dropout=0.1): ...",
    "def f(temperature=0.7, /): ...",
    "def f(*, top_p: float = 0.9): ...",
    "g = lambda n_embd=384: n_embd",
    "if (context_length := 512): ...",
    "min_learning_rate = 3e-4 / 10",
    "USER = '<|usr|>'",
    "text = f'<|asst|>{reply}'",
    "ends = text.split('<|eot|>')",
    "parts = ['<|sys|>', text]",
]


@pytest.fixture
def audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """The faults that the audit finds where a module of the package is this line."""

    def call(line: str) -> list[str]:
        monkeypatch.setattr(settings_audit, "REPOSITORY", tmp_path)
        path = tmp_path / "nielsgpt" / "a.py"
        path.parent.mkdir()
        path.write_text(f"{line}\n")
        return settings_audit.faults([path])

    return call


@pytest.mark.parametrize("line", PLANTED)
def test_an_audit_finds_a_number_or_a_special_token_in_any_statement(
    line: str, audited: Callable[[str], list[str]]
) -> None:
    assert [fault for fault in audited(line) if "nielsgpt/a.py:1: " in fault], line


@pytest.mark.parametrize(
    "line",
    [
        "learning_rate = settings.learning_rate",
        "weight_decay = 0.0",
        "steps = {'grad_clip': phase.grad_clip or 1}",
        "learning_rate = rate * 2",
        "other = 3e-4",
        "'A turn ends with <|eot|>.'",
        "AdamW(parameters, lr=rate, betas=(b1, b2))",
    ],
)
def test_an_audit_leaves_alone_what_is_read_from_the_settings(
    line: str, audited: Callable[[str], list[str]]
) -> None:
    assert not [fault for fault in audited(line) if "nielsgpt/a.py" in fault]
