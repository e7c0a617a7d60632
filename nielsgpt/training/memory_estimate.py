"""How much memory training will take, said before it begins.

What autograd keeps of a block is not written down here a second time: one block and two are run
on tensors without numbers, and what is kept is counted. The rest follows from the parameters.
"""

import ctypes
import logging
import math
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from nielsgpt.config.settings import ModelSettings, PhaseSettings
from nielsgpt.distributed.partition import largest_divisor
from nielsgpt.distributed.tree_sum import odd_part
from nielsgpt.errors import SettingsError
from nielsgpt.model.gpt import GPT, parameter_count
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.training.loss import CHUNK
from nielsgpt.training.trainer import Trainer

log = logging.getLogger("nielsgpt")

PROCESS_BYTES = 330 * 2**20  # torch, numpy and the rest, before there is a model
COMPILER_BYTES = 60 * 2**20  # what torch.compile leaves in the process
COMPILED_SHARE = 0.4  # of the kept activations; the rest is computed again
SLACK = 1.2  # of what training itself takes: pages that lie between two tensors


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes by what takes them."""

    parts: dict[str, int]

    @property
    def bytes(self) -> int:
        """All of them."""
        return sum(self.parts.values())


def estimate(
    shape: ModelSettings,
    vocab_size: int,
    phase_settings: PhaseSettings,
    execution: ExecutionConfig,
    micro_batch_size: int | None = None,
    supervised: float = 1.0,
) -> MemoryEstimate:
    """The most memory that a phase needs at once: of the process, or on CUDA of the device.

    `supervised` is the share of the targets that the loss counts: in SFT those of the replies.
    """
    size = micro_batch_size or phase_settings.micro_batch_size or execution.micro_batch_size
    matrices, count = _parameters(shape, vocab_size)
    muon = phase_settings.optimizer == "muon"
    moments = 8 * count - (4 * matrices if muon else 0)
    average = 4 * count if phase_settings.ema_decay else 0
    micro_batches = phase_settings.batch_size // size
    waiting = max(0, int(math.log2(max(1, micro_batches // odd_part(micro_batches)))) - 1)
    parts = {
        "weights": 4 * count,
        "gradients": 4 * count * (1 + waiting),
        "moments": moments + (12 * matrices if muon else 0),
        "average": average,
        "snapshot": 4 * count + moments + average if execution.device == "cpu" else 0,
        "activations": _activations(shape, phase_settings, execution, size),
        "mask": 4 * shape.context_length**2,
        "loss": _loss(
            shape, vocab_size, execution, math.ceil(supervised * size * shape.context_length)
        ),
    }
    parts = {name: int(SLACK * value) for name, value in parts.items()}
    on_cpu = execution.device == "cpu"
    parts["process"] = PROCESS_BYTES * on_cpu + COMPILER_BYTES * (on_cpu and execution.compiled)
    return MemoryEstimate(parts)


@cache
def _parameters(shape: ModelSettings, vocab_size: int) -> tuple[int, int]:
    """The numbers in the blocks' matrices, and in all parameters, from one block and two."""
    with torch.device("meta"):
        one, two = (GPT(replace_layers(shape, n), 2) for n in (1, 2))
    block = parameter_count(two) - parameter_count(one)
    matrices = sum(p.numel() for p in one.blocks.parameters() if p.dim() == 2)
    ids = (vocab_size - 2) * shape.n_embd * (1 if shape.tied else 2)
    return matrices * shape.n_layer, parameter_count(one) + (shape.n_layer - 1) * block + ids


def of_trainer(trainer: Trainer) -> MemoryEstimate:
    """The forecast for a trainer with the micro-batch that it has."""
    model, size = trainer.model, trainer.micro_batch_size
    supervised = trainer.batches.supervised_share
    return estimate(
        model.shape, model.vocab_size, trainer.phase, trainer.execution, size, supervised
    )


def make_fit(trainer: Trainer, free_bytes: int) -> None:
    """Lower the micro-batch, in words, until the forecast fits into the memory that is free.

    Raises SettingsError where not even one row does.
    """
    wanted = trainer.micro_batch_size
    while (needed := of_trainer(trainer).bytes) > free_bytes:
        if trainer.micro_batch_size == 1:
            raise SettingsError(
                f"training needs about {needed / 2**30:.1f} GB even with one row at once, and "
                f"{free_bytes / 2**30:.1f} GB are free; lower model.context_length, model.n_embd "
                "or model.n_layer, or set activation_checkpointing"
            )
        half = trainer.micro_batch_size // 2
        trainer.micro_batch_size = largest_divisor(trainer.phase.batch_size, half)
    if trainer.micro_batch_size != wanted:
        log.warning(
            "memory is short: micro-batches of %d instead of %d, same result",
            trainer.micro_batch_size,
            wanted,
        )


def replace_layers(shape: ModelSettings, n_layer: int) -> ModelSettings:
    """The same shape with another number of blocks."""
    return shape.model_copy(update={"n_layer": n_layer})


def peak_bytes(device: str) -> int:
    """The most memory in use since `reset_peak`: of the device on CUDA, else of this process."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def reset_peak(device: str) -> None:
    """Begin `peak_bytes` afresh, where the system can: what earlier work freed counts no more."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library, or a /proc that is read-only
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")


def _activations(
    shape: ModelSettings, phase_settings: PhaseSettings, execution: ExecutionConfig, size: int
) -> int:
    """Bytes autograd keeps from the forward to the backward pass, and one block's workspace."""
    one, two = (_count_saved(replace_layers(shape, n), execution, size) for n in (1, 2))
    block, rest = two - one, one - (two - one)
    share = COMPILED_SHARE if execution.compiled else 1.0
    scores = size * shape.n_head * shape.context_length**2 * 4 * (execution.attention == "plain")
    stream = size * shape.context_length * shape.n_embd * execution.dtype.itemsize
    blocks = shape.n_layer + 1
    if phase_settings.activation_checkpointing:
        rest, blocks = rest + shape.n_layer * stream, 2
    return int(rest + share * block * blocks + 3 * scores)


@cache
def _count_saved(shape: ModelSettings, execution: ExecutionConfig, size: int) -> int:
    """Bytes that autograd keeps of a trunk for `size` rows."""
    with torch.device("meta"):
        model = GPT(shape, 2)
        model.compute_dtype = execution.dtype
        model.set_attention(execution.attention)
        kept = saved_tensors_of(model, torch.zeros(size, shape.context_length, dtype=torch.int64))
    if execution.attention == "plain" or shape.dropout:
        return kept
    # Without numbers torch takes the form that keeps a float32 for each score; the fused one keeps
    # a float32 for each row of them.
    row = 4 * size * shape.n_head * shape.context_length
    return kept - shape.n_layer * row * (shape.context_length - 1)


def saved_tensors_of(model: GPT, ids: Tensor) -> int:
    """Bytes that autograd keeps for the backward pass of a trunk, its parameters left out."""
    with _count({p.untyped_storage()._cdata for p in model.parameters()}) as kept:
        model.trunk(ids)
    return sum(kept.values())


@contextmanager
def _count(left_out: set[int]) -> Iterator[dict[int, int]]:
    """The bytes of each storage that autograd is given to keep."""
    kept: dict[int, int] = {}
    alive = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in left_out:
            kept[storage._cdata] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def _loss(shape: ModelSettings, vocab_size: int, execution: ExecutionConfig, rows: int) -> int:
    """The chunk of logits and its copies, and the gradients that wait for the backward pass."""
    width, item = shape.n_embd, execution.dtype.itemsize
    chunk = min(CHUNK, rows) * vocab_size * (2 * item + 8)
    matrix = vocab_size * width * (2 * item + 8)
    return chunk + matrix + 2 * rows * width * item
