"""Recommend a model size, batch and learning rate by rule, from the corpus and the memory."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

from nielsgpt.config import load
from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.distributed.partition import largest_divisor
from nielsgpt.errors import SettingsError
from nielsgpt.system import machine as machines
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.training import memory_estimate

Priority = Literal["speed", "quality"]
VARIANTS: dict[Priority, str] = {"speed": "gpt_fast", "quality": "gpt_plus"}
GIB = 2**30
LARGE_GPU_BYTES = 20 * GIB  # from here on the large size, unless the corpus is small
MEMORY_SHARE = 0.8  # of the memory: what training may take
SHORT_CONTEXT_TOKENS = 300_000  # below this many tokens no context of 512
EPOCHS = 10
MIN_STEPS = 1000
WARMUP_STEPS = 500
MIN_LEARNING_RATE = 1e-5
# (GiB, tokens of a step) by kind of device: the first row whose memory is at least the device's.
STEP_TOKENS: dict[str, tuple[tuple[float, int], ...]] = {
    "cuda": ((6, 8192), (10, 12288), (16, 16384), (24, 24576), (math.inf, 32768)),
    "mps": ((8, 12288), (math.inf, 16384)),
    "cpu": ((math.inf, 4096),),
}
MIN_ROWS = {"cuda": 8, "mps": 8, "cpu": 2}


@dataclass(frozen=True)
class Size:
    """A model for a corpus of fewer than `max_tokens` tokens, with its regularization."""

    max_tokens: float
    n_layer: int
    n_head: int
    n_embd: int
    dropout: float
    weight_decay: float
    learning_rate: float
    label_smoothing: float


SIZES = (
    Size(1e6, 4, 4, 256, 0.2, 0.1, 2e-4, 0.05),
    Size(5e6, 6, 6, 384, 0.15, 0.08, 2e-4, 0.05),
    Size(math.inf, 8, 8, 512, 0.1, 0.05, 3e-4, 0.02),
)


@dataclass(frozen=True)
class MachineMemory:
    """The device, its memory, and how it would execute a shape with this many rows in a step."""

    device: str
    memory_bytes: float
    choose_execution: Callable[[ModelSettings, int], ExecutionConfig]

    @property
    def kind(self) -> str:
        """The device without its number: cuda, mps or cpu."""
        return self.device.partition(":")[0]


def recommend(
    settings: Settings, tokens: int, vocab_size: int, machine: MachineMemory, priority: Priority
) -> tuple[Settings, int]:
    """The recommended settings for a corpus of this many tokens, and the bytes that training takes.

    The size is the one in the table for the corpus, or the largest below it that fits in memory.
    Raises SettingsError if none fits.
    """
    index = next(n for n, size in enumerate(SIZES) if tokens < size.max_tokens)
    if machine.kind == "cuda" and machine.memory_bytes >= LARGE_GPU_BYTES and index > 0:
        index = len(SIZES) - 1
    for size in reversed(SIZES[: index + 1]):
        recommended = _apply_size(settings, size, tokens, machine, priority)
        fitted = _fit_micro_batch(recommended, vocab_size, machine)
        if fitted is not None:
            return fitted
    raise SettingsError(
        f"not even the smallest size fits in {machine.memory_bytes / GIB:.1f} GiB of "
        f"{machine.device}; lower model.context_length or set activation_checkpointing"
    )


def read_device_memory(device: str) -> float:
    """The bytes of memory that programs can use on a device."""
    readers: dict[str, Callable[[], float]] = {
        "cuda": lambda: torch.cuda.mem_get_info(device)[1],
        "mps": torch.mps.recommended_max_memory,
        "cpu": machines.memory_bytes,
    }
    return float(readers[device.partition(":")[0]]())


def _apply_size(
    settings: Settings, size: Size, tokens: int, machine: MachineMemory, priority: Priority
) -> Settings:
    """The settings with a size of the table, and a batch and steps that suit the device."""
    gib = machine.memory_bytes / GIB
    step_tokens = next(count for max_gib, count in STEP_TOKENS[machine.kind] if gib <= max_gib)
    contexts = (256, 128) if tokens < SHORT_CONTEXT_TOKENS else (512, 256, 128)
    min_rows = MIN_ROWS[machine.kind]
    context = next(length for length in contexts if step_tokens // length >= min_rows)
    steps = max(MIN_STEPS, math.ceil(EPOCHS * tokens / step_tokens))
    shape = {name: getattr(size, name) for name in ("n_layer", "n_head", "n_embd", "dropout")}
    from_size = ("weight_decay", "learning_rate", "label_smoothing")
    phase: dict[str, Any] = {
        **{name: getattr(size, name) for name in from_size},
        "batch_size": step_tokens // context,
        "micro_batch_size": 0,
        "optimizer": "adamw",
        "min_learning_rate": MIN_LEARNING_RATE,
        "schedule": "warmup_cosine",
        "warmup_steps": min(WARMUP_STEPS, steps // 2),
        "max_steps": steps,
        "ema_decay": 0.999,
        "eval_every": 250,
        "eval_batches": 200,
    }
    model = {**shape, "d_ff": None, "tied": True, "context_length": context}
    overrides = {
        "model": {**model, "variant": VARIANTS[priority]},
        "training": {"pretrain": phase},
    }
    return load.override(settings, overrides, "the rules")


def _fit_micro_batch(
    settings: Settings, vocab_size: int, machine: MachineMemory
) -> tuple[Settings, int] | None:
    """The settings with the largest micro-batch that fits, and their bytes; None if none fits."""
    shape, phase = settings.model, settings.training.pretrain
    execution = machine.choose_execution(shape, phase.batch_size)
    size = execution.micro_batch_size
    while True:
        needed = memory_estimate.estimate(shape, vocab_size, phase, execution, size).bytes
        if needed <= MEMORY_SHARE * machine.memory_bytes:
            overrides = {"training": {"pretrain": {"micro_batch_size": size}}}
            return load.override(settings, overrides, "the rules"), needed
        if size == 1:
            return None
        size = largest_divisor(phase.batch_size, size // 2)
