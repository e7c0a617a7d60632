"""The keys and values of every position read so far, so that a new token costs one position.

One block of (B, H, capacity, D) a layer is reserved when the first keys arrive, in their dtype and
on their device; nothing grows afterwards. The cache never slides by itself: positions are part of
what the keys hold, so a full context is read anew by `generate` (its docstring has the rule).
"""

import torch
from torch import Tensor


class KVCache:
    """Room for `capacity` positions; the model fills it through `extend` and `advance`."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._length = 0
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def length(self) -> int:
        """How many positions are held."""
        return self._length

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new (B, H, T, D) of one layer; returns views of all so far, (B, H, S, D)."""
        if layer not in self._layers:
            shape = (*k.shape[:2], self.capacity, k.shape[3])
            self._layers[layer] = k.new_empty(shape), v.new_empty(shape)
        keys, values = self._layers[layer]
        end = self._length + k.shape[2]
        assert end <= self.capacity, f"{end} positions in a cache for {self.capacity}"
        keys[:, :, self._length : end] = k
        values[:, :, self._length : end] = v
        return keys[:, :, :end], values[:, :, :end]

    def advance(self, count: int) -> None:
        """Count the positions that every layer has now stored."""
        self._length += count

    def clear(self) -> None:
        """Forget all positions; the memory stays."""
        self._length = 0

    @torch.inference_mode()
    def keep(self, rows: list[int]) -> None:
        """Keep these rows of the batch, in this order."""
        for layer, blocks in self._layers.items():
            kept = [block[rows, :, : self._length] for block in blocks]
            keys, values = (block[: len(rows)] for block in blocks)
            keys[:, :, : self._length], values[:, :, : self._length] = kept
            self._layers[layer] = keys, values
