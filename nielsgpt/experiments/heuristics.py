"""A size, a batch and rates by rule, from the corpus' tokens and the memory: no run is made."""

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
ROOMY = 20 * GIB  # of a GPU: the large size, whatever the corpus, unless that is small
FREE = 0.8  # of the memory: what training may take
FEW_TOKENS = 300_000  # below it no context of 512
PASSES = 10  # over the corpus
LEAST_STEPS, WARMUP_STEPS, MIN_RATE = 1000, 500, 1e-5
# Tokens a step by the device's memory in GiB; the last row holds for all above.
TOKENS_A_STEP: dict[str, tuple[tuple[float, int], ...]] = {
    "cuda": ((6, 8192), (10, 12288), (16, 16384), (24, 24576), (math.inf, 32768)),
    "mps": ((8, 12288), (math.inf, 16384)),
    "cpu": ((math.inf, 4096),),
}
LEAST_ROWS = {"cuda": 8, "mps": 8, "cpu": 2}


@dataclass(frozen=True)
class Size:
    """A model for corpora of less than so many tokens, and what keeps it from learning by heart."""

    below: float
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
    """The device and its memory, and the engine that a shape and so many rows would take there."""

    device: str
    memory_bytes: float
    engine_of: Callable[[ModelSettings, int], ExecutionConfig]

    @property
    def kind(self) -> str:
        """The device without its number."""
        return self.device.partition(":")[0]


def recommend(
    settings: Settings, tokens: int, vocab_size: int, machine: MachineMemory, priority: Priority
) -> tuple[Settings, int]:
    """The settings with a shape, a batch, rates and steps for a corpus of so many tokens, and the
    bytes that training them takes.

    The size is the table's for the corpus, or the largest below it that fits into the memory.
    Raises SettingsError where none does.
    """
    place = next(n for n, size in enumerate(SIZES) if tokens < size.below)
    if machine.kind == "cuda" and machine.memory_bytes >= ROOMY and place > 0:
        place = len(SIZES) - 1
    for size in reversed(SIZES[: place + 1]):
        found = _of_size(settings, size, tokens, machine, priority)
        fitted = _sizes_that_fit(found, vocab_size, machine)
        if fitted is not None:
            return fitted
    raise SettingsError(
        f"not even the smallest size fits into {machine.memory_bytes / GIB:.1f} GiB of "
        f"{machine.device}; lower model.context_length or set activation_checkpointing"
    )


def memory_of(device: str) -> float:
    """The bytes that a device has for its programs."""
    here: dict[str, Callable[[], float]] = {
        "cuda": lambda: torch.cuda.mem_get_info(device)[1],
        "mps": torch.mps.recommended_max_memory,
        "cpu": machines.memory_bytes,
    }
    return float(here[device.partition(":")[0]]())


def _of_size(
    settings: Settings, size: Size, tokens: int, machine: MachineMemory, priority: Priority
) -> Settings:
    """The settings for a size of the table."""
    gib = machine.memory_bytes / GIB
    at_once = next(count for most, count in TOKENS_A_STEP[machine.kind] if gib <= most)
    contexts = (256, 128) if tokens < FEW_TOKENS else (512, 256, 128)
    least = LEAST_ROWS[machine.kind]
    context = next(length for length in contexts if at_once // length >= least)
    steps = max(LEAST_STEPS, math.ceil(PASSES * tokens / at_once))
    shape = {name: getattr(size, name) for name in ("n_layer", "n_head", "n_embd", "dropout")}
    rates = ("weight_decay", "learning_rate", "label_smoothing")
    phase: dict[str, Any] = {
        **{name: getattr(size, name) for name in rates},
        "batch_size": at_once // context,
        "micro_batch_size": 0,
        "optimizer": "adamw",
        "min_learning_rate": MIN_RATE,
        "schedule": "warmup_cosine",
        "warmup_steps": min(WARMUP_STEPS, steps // 2),
        "max_steps": steps,
        "ema_decay": 0.999,
        "eval_every": 250,
        "eval_batches": 200,
    }
    model = {**shape, "d_ff": None, "tied": True, "context_length": context}
    over = {
        "model": {**model, "variant": VARIANTS[priority]},
        "training": {"pretrain": phase},
    }
    return load.override(settings, over, "the rules")


def _sizes_that_fit(
    settings: Settings, vocab_size: int, machine: MachineMemory
) -> tuple[Settings, int] | None:
    """The settings with the largest micro-batch that fits, and what they take; None where none."""
    shape, phase = settings.model, settings.training.pretrain
    engine = machine.engine_of(shape, phase.batch_size)
    size = engine.micro_batch_size
    while True:
        needed = memory_estimate.estimate(shape, vocab_size, phase, engine, size).bytes
        if needed <= FREE * machine.memory_bytes:
            over = {"training": {"pretrain": {"micro_batch_size": size}}}
            return load.override(settings, over, "the rules"), needed
        if size == 1:
            return None
        size = largest_divisor(phase.batch_size, size // 2)
