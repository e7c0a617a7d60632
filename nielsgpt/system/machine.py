"""This machine: its facts, its free memory and disk, and what was once measured on it.

Measurements are kept a machine, not a model: `engines.json` and the like in $NIELSGPT_CACHE, or in
nielsgpt's folder under $XDG_CACHE_HOME, or ~/.cache.
"""

import math
import os
import platform
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

import psutil

from nielsgpt.errors import NielsError
from nielsgpt.system import limits
from nielsgpt.system.atomic_files import read_json, write_sealed


class MachineFacts(TypedDict):
    """A description of a machine."""

    processor: str
    cores: int
    memory_bytes: int
    system: str
    python: str


def facts() -> MachineFacts:
    """The description of this machine."""
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
    """The CPUs that this process may use: by its affinity and its quota."""
    count = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = limits.cpu_quota()
    return count if quota is None else max(1, min(count, math.ceil(quota)))


def physical_core_count() -> int:
    """The cores behind these CPUs, where two of them may share one."""
    return min(core_count(), psutil.cpu_count(logical=False) or core_count())


def memory_bytes() -> int:
    """The memory that this process may use: the machine's, or the tightest limit of it."""
    total = int(psutil.virtual_memory().total)
    return min([total, *(limit for limit, _ in limits.memory_limits())])


def available_bytes() -> int:
    """The memory that is free for this process now."""
    free = int(psutil.virtual_memory().available)
    return max(0, min([free, *(limit - used for limit, used in limits.memory_limits())]))


def free_disk_bytes(folder: Path) -> int:
    """The free space where a folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def recall(kind: str, key: str) -> Any:
    """The value remembered under the key; None if it is missing or damaged."""
    with suppress(NielsError, RuntimeError):
        return (read_json(_memory(kind)) or {}).get(key)
    return None


def remember(kind: str, key: str, value: Any) -> None:
    """Keep a JSON value for later runs; where the folder may not be written, do without."""
    known: dict[str, object] = {}
    with suppress(NielsError, RuntimeError):
        known = read_json(_memory(kind)) or {}
    with suppress(NielsError, RuntimeError):
        write_sealed(_memory(kind), {**known, key: value})


def _memory(kind: str) -> Path:
    home = os.environ.get("NIELSGPT_CACHE")
    if home is None:
        home = str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "nielsgpt")
    return Path(os.path.expanduser(home)) / f"{kind}.json"
