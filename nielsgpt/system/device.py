"""Where to compute and how: the device, the precision of products, threads; and how fast."""

import ctypes
import logging
import os
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import torch

from nielsgpt.errors import SettingsError
from nielsgpt.system import machine
from nielsgpt.system.atomic_files import fingerprint

log = logging.getLogger("nielsgpt")
_LINUX = sys.platform == "linux"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Precision = Literal["fp32", "bf16", "fp16"]
Attention = Literal["plain", "fused"]
# A GPU needs a larger product to be busy with it.
SIDES = {"cpu": 2048, "mps": 4096, "cuda": 8192}
SMALL_SIDE, SLOW_S, ENOUGH_S, PRODUCTS = 512, 0.2, 1.0, 5


@dataclass(frozen=True)
class ExecutionConfig:
    """Everything that decides the bits of a step beside the mathematics."""

    device: str
    precision: Precision
    attention: Attention
    compiled: bool
    threads: int
    micro_batch_size: int = 16
    torch_version: str = str(torch.__version__)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of what flows through the model."""
        return DTYPES[self.precision]

    def __str__(self) -> str:
        compiled = "compiled" if self.compiled else "not compiled"
        return (
            f"{self.device}, {self.precision}, {self.attention} attention, {compiled}, "
            f"{self.threads} threads, micro-batches of {self.micro_batch_size}"
        )

    def facts(self) -> dict[str, object]:
        """The same as plain values."""
        return asdict(self)

    @classmethod
    def from_facts(cls, facts: Mapping[str, object]) -> Self:
        """The config of these values, as this version of torch computes it."""
        known: Any = {**facts, "torch_version": str(torch.__version__)}
        return cls(**known)


def apply_execution(device: str, threads: int) -> None:
    """Set torch's threads (0: one a core) and allocator, and ask for the same bits every time."""
    torch.set_num_threads(threads or machine.core_count())
    _keep_pages()
    _compute_alike(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is how torch says, on any device, that memory ran out."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        word in str(error) for word in words
    )


def choose_device(wanted: str) -> str:
    """The device's name: auto takes cuda, then mps, then cpu."""
    present = _present()
    if wanted == "auto":
        return next(name for name, here in present.items() if here)
    if not is_here(wanted):
        here = ", ".join(name for name, there in present.items() if there)
        raise SettingsError(f"device {wanted} is not on this machine; it has {here}")
    return wanted


def is_here(device: str) -> bool:
    """Whether this machine has the device: cpu, mps or cuda[:n]."""
    kind, _, number = device.partition(":")
    return _present()[kind] and (not number or int(number) < torch.cuda.device_count())


def _present() -> dict[str, bool]:
    return {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }


def has_native_bf16(device: str) -> bool:
    """Whether bfloat16 products run on the device's own units, not emulated."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "mps":
        return False
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("amx_bf16") or abilities.get("avx512_bf16"))


def computes_bf16(device: str) -> bool:
    """Whether bfloat16 works there at all, fast or not."""
    return not device.startswith("cuda") or bool(torch.cuda.is_bf16_supported())


def synchronize(device: str) -> None:
    """Wait until the device has done all that it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def peak_flops(execution: ExecutionConfig) -> float:
    """FLOP/s of a large matrix product in the run's precision, measured once a machine."""
    known = machine.facts(), str(torch.__version__), execution.device, execution.precision
    key = fingerprint(known, execution.threads)
    found = machine.recall("peaks", key)
    if found is None:
        found = matrix_peak(execution.device, execution.dtype)
        machine.remember("peaks", key, found)
    return float(found)


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


def _compute_alike(device: str) -> None:
    """Ask for the same bits every time: compiled scatters otherwise add in any order.

    Where a device has no such form of an operation, torch warns and continues; a CPU has all.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _keep_pages() -> None:
    """Ask glibc to keep freed pages: returning the large temporaries of every step to the system
    and faulting them in again costs up to a fifth of a step on a CPU."""
    if _LINUX:
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            trim_threshold, mmap_max = -1, -4
            libc.mallopt(mmap_max, 0)
            libc.mallopt(trim_threshold, 2**31 - 1)


def _product_s(device: str, dtype: torch.dtype, side: int) -> float:
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.rand(side, side, generator=draw).to(device, dtype) for _ in range(2))
    out = torch.empty_like(left)
    taken: list[float] = []
    while len(taken) <= PRODUCTS and sum(taken) < ENOUGH_S:
        began = time.perf_counter()
        torch.mm(left, right, out=out)
        synchronize(device)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:] or taken)  # the first one sets up
