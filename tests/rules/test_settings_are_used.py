"""No dead knobs and no second truths, as `nielsgpt config --audit` finds them."""

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
    assert found[0] == "nielsgpt/a.py:1: top_k has a default of its own; read it from the settings"
    assert not any(line.startswith("model.n_layer ") for line in found)
    assert "model.n_head is read nowhere; remove it from the settings" in found
