"""What this machine has to compute with, and how fast its products are."""

import platform
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from nielsgpt import __version__, machine
from nielsgpt.compiler import can_compile
from nielsgpt.device import Attention, Engine, Precision, choose_device, wait
from nielsgpt.doctor.check import Verdict, check

# Units that decide which precision is fast; torch names them a little differently on each system.
UNITS = re.compile(r"amx_(bf16|fp16|int8)|avx2|avx512_(f|bf16|fp16)|neon\w*|sve\w*|sme\w*")
# A GPU needs a larger product to be busy with it.
SIDES = {"cpu": 2048, "mps": 4096, "cuda": 8192}
SMALL_SIDE, SLOW_S, ENOUGH_S, PRODUCTS = 512, 0.2, 1.0, 5


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


def paths(engine: Engine) -> Iterator[Verdict]:
    """A verdict on each precision and form of attention of the engine's device, uncompiled."""
    for precision in get_args(Precision):
        for attention in get_args(Attention):
            way = {"precision": precision, "attention": attention, "compiled": False}
            yield check(replace(engine, **way))


def matrix_peak(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of a square product: the median of five, or of as many as fit into a second.

    The sides are 2048 on a CPU, 4096 on MPS and 8192 on CUDA; where a product of side 512 already
    takes a fifth of a second, as with an emulated dtype, that one is taken instead. RuntimeError
    where the device has no such product.
    """
    for side in (SMALL_SIDE, SIDES[device.partition(":")[0]]):
        seconds = _product_s(device, dtype, side)
        if seconds > SLOW_S:
            break
    return 2 * side**3 / seconds


def _product_s(device: str, dtype: torch.dtype, side: int) -> float:
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.rand(side, side, generator=draw).to(device, dtype) for _ in range(2))
    out = torch.empty_like(left)
    taken: list[float] = []
    while len(taken) <= PRODUCTS and sum(taken) < ENOUGH_S:
        began = time.perf_counter()
        torch.mm(left, right, out=out)
        wait(device)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:] or taken)  # the first one sets up
