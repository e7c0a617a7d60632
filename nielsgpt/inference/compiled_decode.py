"""The decode step of a single row, compiled: the whole model as a few fused loops.

Keys and values are read as whole blocks with the positions beyond the end masked, so the shapes are
the same from step to step. Compiling takes about ten seconds in every process, so it is only done
with device.compile=on.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from nielsgpt.model.gpt import GPT
from nielsgpt.system.compile_cache import guard_compile

Blocks = Sequence[tuple[Tensor, Tensor]]  # keys and values of each layer, (1, S, H, D)
COMPILABLE = ("float32", "int8")  # weight formats; packed bfloat16 is opaque to the compiler
DecodeStep = Callable[[Tensor, Tensor, Blocks], Tensor]


class StaticKVCache:
    """One cache row as whole blocks, at one position (1, 1, 1)."""

    def __init__(self, position: Tensor, blocks: Blocks) -> None:
        self.position = position
        self.blocks = blocks

    def place(self, count: int) -> tuple[slice | Tensor, int]:
        """The position, and the end of the block."""
        return self.position, self.blocks[0][0].size(1)

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store one position; returns the whole blocks, (1, H, S, D)."""
        for block, new in zip(self.blocks[layer], (k, v), strict=True):
            block.index_copy_(1, self.position.view(1), new.transpose(1, 2))
        keys, values = (block.transpose(1, 2) for block in self.blocks[layer])
        return keys, values

    def advance(self, count: int) -> None:
        """Does nothing: the caller passes the position."""


def compile_decode(model: GPT) -> DecodeStep:
    """Compile this model's decode step: (1, 1) ids at a position (1, 1, 1) -> logits (1, V)."""

    def step(ids: Tensor, position: Tensor, blocks: Blocks) -> Tensor:
        hidden = model.trunk(ids, StaticKVCache(position, blocks))
        return model.head(hidden[:, -1])

    return guard_compile(step, any_shape=True)
