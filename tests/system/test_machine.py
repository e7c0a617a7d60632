"""What a machine is, inside a container too."""

from pathlib import Path

import pytest

from nielsgpt.system import machine

GIB = 2**30


def test_what_files_leave_in_memory_is_free_memory_of_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CONTROL_GROUP", tmp_path)
    plain = machine.available_bytes()
    limit = plain // 2
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{limit - GIB // 8}\n")
    assert machine.available_bytes() == GIB // 8
    stat = f"anon 5\ninactive_file {GIB // 4}\nactive_file {GIB // 4}\n"
    (tmp_path / "memory.stat").write_text(stat)
    assert machine.available_bytes() == GIB // 8 + GIB // 2
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.available_bytes() >= plain // 2
