"""Survey of this machine: its hardware and software, and a check of each execution config."""

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
from nielsgpt.format import format_bytes
from nielsgpt.system import machine
from nielsgpt.system.compile_cache import can_compile
from nielsgpt.system.device import Attention, ExecutionConfig, Precision, choose_device

# Instruction sets that decide which precision is fast; torch's names differ between systems.
UNITS = re.compile(r"amx_(bf16|fp16|int8)|avx2|avx512_(f|bf16|fp16)|neon\w*|sve\w*|sme\w*")


@dataclass(frozen=True)
class CompilerCheck:
    """Whether torch.compile works for a device, and the seconds it took to find out."""

    works: bool
    seconds: float


def describe_machine(folder: Path) -> Iterator[tuple[str, str]]:
    """(name, value) of processor, memory, the disk of the folder, software and GPUs, as text."""
    capabilities, disk = torch.cpu.get_capabilities(), folder.resolve()
    units = sorted(name for name, has in capabilities.items() if has and UNITS.fullmatch(name))
    total, free = machine.memory_bytes(), machine.available_bytes()
    yield "processor", f"{machine.processor()}, {machine.core_count()} cores"
    yield "units", " ".join(units) or "none that torch reports"
    yield "memory", f"{format_bytes(total)}, {format_bytes(free)} free"
    yield "disk", f"{format_bytes(machine.free_disk_bytes(disk))} free in {disk}"
    python = f"Python {platform.python_version()}"
    libraries = f"torch {torch.__version__}, numpy {np.__version__}"
    yield "software", f"nielsgpt {__version__}, {python}, {libraries}"
    yield "system", machine.facts()["system"]
    yield from list(_describe_gpus()) or [("GPU", "none that torch can use")]


def _describe_gpus() -> Iterator[tuple[str, str]]:
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        yield f"cuda:{number}", f"{name}, {format_bytes(total)}, {format_bytes(free)} free"
    if torch.backends.mps.is_available():
        limit = format_bytes(torch.mps.recommended_max_memory())
        yield "mps", f"shares the memory; up to {limit}"


def list_devices(requested: str) -> list[str]:
    """The devices to check: the requested one, or for auto all; the last is the one a run uses."""
    best = choose_device(requested)
    return [best] if requested != "auto" or best == "cpu" else ["cpu", best]


def check_compiler(device: str) -> CompilerCheck:
    """Try torch.compile and its tool chain; torch's own cache makes a second try faster."""
    started = time.perf_counter()
    works = can_compile(device)
    return CompilerCheck(works, time.perf_counter() - started)


def check_uncompiled(execution: ExecutionConfig) -> Iterator[CheckResult]:
    """Check each precision and attention implementation on this device, uncompiled."""
    for precision in get_args(Precision):
        for attention in get_args(Attention):
            yield check(
                replace(execution, precision=precision, attention=attention, compiled=False)
            )
