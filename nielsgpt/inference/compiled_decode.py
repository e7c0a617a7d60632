"""The next step of a row that talks alone, compiled: the whole model as a few fused loops.

Its keys and values are read as whole blocks, positions beyond the end masked, so the shapes stay
the same from step to step. Compiling takes some ten seconds in every process, which is why it is
done only where the settings insist.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from nielsgpt.model.gpt import GPT
from nielsgpt.system.compile_cache import guard_compile

Blocks = Sequence[tuple[Tensor, Tensor]]  # of each layer: keys and values, (1, S, H, D)
FORMS = ("float32", "int8")  # packed bfloat16 is opaque to the compiler
Step = Callable[[Tensor, Tensor, Blocks], Tensor]


class StaticKVCache:
    """A row of a cache as the blocks that it lies in, at one position (1, 1, 1)."""

    def __init__(self, position: Tensor, blocks: Blocks) -> None:
        self.position, self.blocks = position, blocks

    def place(self, count: int) -> tuple[slice | Tensor, int]:
        """The position, and the end of the block."""
        return self.position, self.blocks[0][0].size(1)

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store one position; the whole block, (1, H, S, D)."""
        for block, new in zip(self.blocks[layer], (k, v), strict=True):
            block.index_copy_(1, self.position.view(1), new.transpose(1, 2))
        keys, values = (block.transpose(1, 2) for block in self.blocks[layer])
        return keys, values

    def advance(self, count: int) -> None:
        """Nothing to count: the position is told."""


def compile_decode(model: GPT) -> Step:
    """(1, 1) ids at a position (1, 1, 1) -> logits (1, V), for this model, compiled."""

    def step(ids: Tensor, position: Tensor, blocks: Blocks) -> Tensor:
        hidden = model.trunk(ids, StaticKVCache(position, blocks))
        return model.head(hidden[:, -1])

    return guard_compile(step, any_shape=True)
