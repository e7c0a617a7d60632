"""Limits of this process: control groups (versions 1 and 2) and ulimits.

A limit of any group from the process's own up to the root holds, and so does each ulimit:

    /proc/self/cgroup      0::/user.slice/run.scope             version 2
                           4:memory:/slurm/job_7                version 1
    /sys/fs/cgroup/user.slice/run.scope/memory.max, cpu.max
    /sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

CONTROL_GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
UNLIMITED = 2**60  # version 1 writes about 2**63 where there is no limit


def memory_limits() -> Iterator[tuple[int, int]]:
    """Each limit of memory that holds for this process, and how much of it is used, in bytes.

    Pages of files count as free: they go as soon as the room is needed.
    """
    for folder in _groups("memory"):
        for limit_name, used_name, prefix in (
            ("memory.max", "memory.current", ""),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
        ):
            limit = _number(folder / limit_name)
            if limit is not None and limit < UNLIMITED:
                used = (_number(folder / used_name) or 0) - _file_pages(folder, prefix)
                yield limit, max(0, used)
    yield from _ulimits()


def cpu_quota() -> float | None:
    """How many CPUs the tightest quota grants; None where there is no quota."""
    granted = []
    for folder in _groups("cpu"):
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
            granted.append(int(quota) / int(period))  # "max" is no number
        quota_us, period_us = (_number(folder / f"cpu.cfs_{n}_us") for n in ("quota", "period"))
        if quota_us is not None and quota_us > 0 and period_us:
            granted.append(quota_us / period_us)
    return min(granted, default=None)


def _groups(controller: str) -> Iterator[Path]:
    """The folders of this process's control groups, each followed by those above it."""
    lines: list[str] = []
    with suppress(OSError):
        lines = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    mounts = {CONTROL_GROUPS: "/"}  # in a container the path may lead out of what is mounted
    for line in lines:
        _, names, path = line.split(":", 2)
        if not names:
            mounts[CONTROL_GROUPS] = path
        elif controller in names.split(","):
            mounts[CONTROL_GROUPS / names] = path
            mounts[CONTROL_GROUPS / controller] = path
    for mount, path in mounts.items():
        folder = mount / path.lstrip("/")
        while folder != mount and mount in folder.parents:
            yield folder
            folder = folder.parent
        yield mount


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):  # "max" is no number
        return int(path.read_text(encoding="ascii"))
    return None


def _file_pages(folder: Path, prefix: str) -> int:
    """Bytes of files that a control group holds in memory."""
    with suppress(OSError, ValueError, KeyError):
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        figures = dict(line.split() for line in lines)
        return int(figures[f"{prefix}inactive_file"]) + int(figures[f"{prefix}active_file"])
    return 0


def _ulimits() -> Iterator[tuple[int, int]]:
    """`ulimit -v` and `ulimit -d`, with this process's share of each."""
    if sys.platform == "win32":
        return
    import resource

    used = psutil.Process().memory_info()
    data = getattr(used, "data", used.rss)  # what Linux counts: mapped, though not yet touched
    for number, size in ((resource.RLIMIT_AS, used.vms), (resource.RLIMIT_DATA, data)):
        limit, _ = resource.getrlimit(number)
        if limit != resource.RLIM_INFINITY:
            yield limit, size
