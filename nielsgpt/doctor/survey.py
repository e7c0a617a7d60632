"""What this machine has to compute with, and how fast its products are."""

import platform
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from nielsgpt import __version__
from nielsgpt.doctor.check import CheckResult, check
from nielsgpt.system import machine
from nielsgpt.system.compile_cache import can_compile
from nielsgpt.system.device import Attention, ExecutionConfig, Precision, choose_device

# Units that decide which precision is fast; torch names them a little differently on each system.
UNITS = re.compile(r"amx_(bf16|fp16|int8)|avx2|avx512_(f|bf16|fp16)|neon\w*|sve\w*|sme\w*")


def facts(folder: Path) -> Iterator[tuple[str, str]]:
    """Names and values, in words: processor, memory, disk under the folder, software, GPUs."""
    able, place = torch.cpu.get_capabilities(), folder.resolve()
    units = " ".join(sorted(name for name in able if able[name] and UNITS.fullmatch(name)))
    yield "processor", f"{machine.processor()}, {machine.core_count()} cores"
    yield "units", units or "none that torch names"
    yield "memory", f"{_gib(machine.memory_bytes())}, {_gib(machine.available_bytes())} free"
    yield "disk", f"{_gib(machine.free_disk_bytes(place))} free in {place}"
    python = platform.python_version()
    yield "software", f"nielsgpt {__version__}, Python {python}, {_libraries()}"
    yield "system", machine.facts()["system"]
    gpus = list(_gpus())
    yield from gpus or [("GPU", "none that torch can use")]


def _libraries() -> str:
    return f"torch {torch.__version__}, numpy {np.__version__}"


def _gpus() -> Iterator[tuple[str, str]]:
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        yield f"cuda:{number}", f"{name}, {_gib(total)}, {_gib(free)} free"
    if torch.backends.mps.is_available():
        yield "mps", f"shares the memory; up to {_gib(torch.mps.recommended_max_memory())}"


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def devices(wanted: str) -> list[str]:
    """The devices to examine: the one wanted or, for auto, all here; the last is the run's."""
    best = choose_device(wanted)
    return [best] if wanted != "auto" or best == "cpu" else ["cpu", best]


@dataclass(frozen=True)
class Compiler:
    """Whether torch.compile works for a device, and the seconds of its first small function."""

    works: bool
    seconds: float


def compiler(device: str) -> Compiler:
    """Try the tool chain; what torch has cached from earlier makes it faster."""
    began = time.perf_counter()
    works = can_compile(device)
    return Compiler(works, time.perf_counter() - began)


def paths(execution: ExecutionConfig) -> Iterator[CheckResult]:
    """A verdict on each precision and form of attention of the engine's device, uncompiled."""
    for precision in get_args(Precision):
        for attention in get_args(Attention):
            way = {"precision": precision, "attention": attention, "compiled": False}
            yield check(replace(execution, **way))
