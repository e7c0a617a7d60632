"""What a machine is, inside a container too."""

import subprocess
import sys
from pathlib import Path

import pytest

from nielsgpt.system import limits, machine

GIB = 2**30


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty tree of control groups, of which this process is in none."""
    monkeypatch.setattr(limits, "CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(limits, "MEMBERSHIP", tmp_path / "membership")
    return tmp_path


def put(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def test_what_files_leave_in_memory_is_free_memory_of_a_container(groups: Path) -> None:
    plain = machine.available_bytes()
    limit = plain // 2
    put(groups / "memory.max", limit)
    put(groups / "memory.current", limit - GIB // 8)
    assert machine.available_bytes() == GIB // 8
    put(groups / "memory.stat", f"anon 5\ninactive_file {GIB // 4}\nactive_file {GIB // 4}")
    assert machine.available_bytes() == GIB // 8 + GIB // 2
    put(groups / "memory.max", "max")
    assert machine.available_bytes() >= plain // 2


@pytest.mark.parametrize("limited", ["user.slice", "user.slice/a.slice", "user.slice/a.slice/run"])
def test_a_memory_limit_of_any_group_above_the_process_holds(groups: Path, limited: str) -> None:
    put(groups / "membership", "0::/user.slice/a.slice/run")
    for folder in ("user.slice", "user.slice/a.slice", "user.slice/a.slice/run"):
        put(groups / folder / "memory.max", GIB if folder == limited else "max")
    put(groups / limited / "memory.current", GIB // 4)
    assert machine.memory_bytes() == GIB
    assert machine.available_bytes() == GIB - GIB // 4


def test_limits_of_control_groups_version_1_hold(groups: Path) -> None:
    put(groups / "membership", "4:memory:/slurm/job_7\n1:cpu,cpuacct:/slurm\n0::/")
    put(groups / "memory/slurm/job_7/memory.limit_in_bytes", 2**63 - 4096)
    put(groups / "memory/slurm/memory.limit_in_bytes", GIB)
    put(groups / "memory/slurm/memory.usage_in_bytes", GIB // 2)
    put(groups / "memory/slurm/memory.stat", f"total_inactive_file {GIB // 8}\ntotal_active_file 0")
    put(groups / "cpu,cpuacct/slurm/cpu.cfs_quota_us", 50_000)
    put(groups / "cpu,cpuacct/slurm/cpu.cfs_period_us", 100_000)
    assert machine.memory_bytes() == GIB
    assert machine.available_bytes() == GIB - (GIB // 2 - GIB // 8)
    assert machine.core_count() == 1


@pytest.mark.parametrize(("quota", "count"), [("150000 100000", 2), ("100000 100000", 1)])
def test_a_quota_of_processor_time_bounds_the_cores(
    groups: Path, monkeypatch: pytest.MonkeyPatch, quota: str, count: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert machine.core_count() == 8
    put(groups / "membership", "0::/a/b")
    put(groups / "a/cpu.max", quota)
    put(groups / "a/b/cpu.max", "max 100000")
    assert machine.core_count() == count


def test_an_ulimit_is_a_limit_of_memory() -> None:
    code = (
        "import mmap, resource; from nielsgpt.system import machine\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({64 * GIB}, {64 * GIB}))\n"
        "before = machine.memory_bytes()\n"
        f"resource.setrlimit(resource.RLIMIT_DATA, ({GIB}, {GIB}))\n"
        f"assert machine.memory_bytes() == {GIB} < before <= {64 * GIB}\n"
        "free = machine.available_bytes()\n"
        f"assert 0 < free < {GIB}\n"
        f"untouched = mmap.mmap(-1, {GIB // 4}, mmap.MAP_PRIVATE)\n"
        f"assert machine.available_bytes() <= free - {GIB // 4}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
