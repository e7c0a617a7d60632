"""This machine: its facts, its free memory and disk, and what was once measured on it.

Measurements are kept a machine, not a model: `engines.json` and the like in $NIELSGPT_CACHE, or in
nielsgpt's folder under $XDG_CACHE_HOME, or ~/.cache.
"""

import os
import platform
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from nielsgpt.errors import NielsError
from nielsgpt.system.workspace import read_json, write_sealed

CONTROL_GROUP = Path("/sys/fs/cgroup")  # version 2


def facts() -> dict[str, Any]:
    """What the machine is, as plain values: processor, cores, memory, system, Python."""
    return {
        "processor": processor(),
        "cores": core_count(),
        "memory_bytes": memory_bytes(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def processor() -> str:
    """The processor's name, as the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def core_count() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def physical_core_count() -> int:
    """The cores behind these CPUs, where two of them may share one."""
    return min(core_count(), psutil.cpu_count(logical=False) or core_count())


def memory_bytes() -> int:
    """The memory that this process may use: the machine's, or its container's limit."""
    total = int(psutil.virtual_memory().total)
    return min(total, _container("memory.max") or total)


def available_bytes() -> int:
    """The memory that is free for this process now."""
    free, limit = int(psutil.virtual_memory().available), _container("memory.max")
    if limit is None:
        return free
    # What files leave in memory counts as used there, and goes as soon as anyone needs the room.
    used = (_container("memory.current") or 0) - _cache_path()
    return min(free, limit - max(0, used))


def free_disk_bytes(folder: Path) -> int:
    """The free space where a folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _cache_path() -> int:
    """Bytes of files that this process's control group holds in memory; 0 where none are told."""
    with suppress(OSError, ValueError):
        lines = (CONTROL_GROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        told = dict(line.split() for line in lines)
        return int(told["inactive_file"]) + int(told["active_file"])
    return 0


def _container(name: str) -> int | None:
    """A number of this process's control group (version 2); None where there is no limit."""
    with suppress(OSError, ValueError):  # "max" is no number
        return int((CONTROL_GROUP / name).read_text(encoding="ascii"))
    return None


def recall(kind: str, key: str) -> Any:
    """What was remembered of this kind under the key; None where nothing was, or it is broken."""
    with suppress(NielsError, RuntimeError):
        return (read_json(_memory(kind)) or {}).get(key)
    return None


def remember(kind: str, key: str, value: Any) -> None:
    """Keep a JSON value for later runs; where the folder may not be written, do without."""
    known: dict[str, Any] = {}
    with suppress(NielsError, RuntimeError):
        known = read_json(_memory(kind)) or {}
    with suppress(NielsError, RuntimeError):
        write_sealed(_memory(kind), {**known, key: value})


def _memory(kind: str) -> Path:
    home = os.environ.get("NIELSGPT_CACHE")
    if home is None:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
        home = str(Path(base) / "nielsgpt")
    return Path(home) / f"{kind}.json"
