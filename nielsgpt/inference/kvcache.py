"""A KV cache: the keys and values of every position read so far, so a new token costs one position.

Each row of the batch has its own length. One block of (rows, positions, H, D) a layer grows by
doubling up to the capacity. The cache never slides by itself: keys contain their positions, so the
batcher prefills a full row again (see the window rule in generate.py).
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

MIN_POSITIONS = 64  # reserved at first


class KVCache:
    """Room for `rows` rows of up to `capacity` positions; `lengths` has the length of each row."""

    def __init__(self, capacity: int, rows: int = 1) -> None:
        self.capacity = capacity
        self.lengths = [0] * rows
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    def span(self, start: int, stop: int) -> "Span":
        """These rows as a cache for the model."""
        return Span(self, start, stop)

    def next_position(self) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Advance the only row; returns its new position, (1, 1, 1), and all layers' blocks, with
        room for it."""
        (length,) = self.lengths
        self.lengths[0] += 1
        blocks = [
            self.reserve(layer, keys.transpose(1, 2), 1, length + 1)
            for layer, (keys, _) in sorted(self._layers.items())
        ]
        return torch.tensor([[[length]]], device=blocks[0][0].device), blocks

    @torch.inference_mode()
    def swap(self, one: int, other: int) -> None:
        """Exchange two rows."""
        if one == other:
            return
        pair, swapped = [one, other], [other, one]
        lengths = self.lengths
        lengths[one], lengths[other] = lengths[other], lengths[one]
        for layer, (keys, _) in list(self._layers.items()):
            for block in self.reserve(layer, keys.transpose(1, 2), max(pair) + 1, 1):
                block[pair] = block[swapped]

    @torch.inference_mode()
    def reserve(self, layer: int, like: Tensor, rows: int, positions: int) -> tuple[Tensor, Tensor]:
        """The keys and values of one layer, grown to at least this many rows and positions."""
        if layer in self._layers:
            keys, values = self._layers[layer]
            if rows <= keys.size(0) and positions <= keys.size(1):
                return keys, values
        else:
            keys = values = like.new_empty(0, 0, like.size(1), like.size(3))
        shape = (
            min(max(keys.size(0), _next_power_of_two(rows)), len(self.lengths)),
            min(max(keys.size(1), _next_power_of_two(positions), MIN_POSITIONS), self.capacity),
        )
        assert rows <= shape[0], f"{rows} rows in a cache for {shape[0]}"
        assert positions <= shape[1], f"{positions} positions in a cache for {shape[1]}"
        self._layers[layer] = _grow(keys, shape), _grow(values, shape)
        return self._layers[layer]


@dataclass
class Span:
    """The rows from `start` to `stop` of a cache, as the model reads and extends them."""

    cache: KVCache
    start: int
    stop: int
    _positions: Tensor | None = field(default=None, init=False)  # of rows of unequal length

    @property
    def lengths(self) -> list[int]:
        """The number of positions in each row."""
        return self.cache.lengths[self.start : self.stop]

    def place(self, count: int) -> tuple[slice | Tensor, int]:
        """The positions of the next `count` ids, and the end of the longest row with them.

        The positions are a slice if all rows have the same length, else (B, 1, count).
        """
        lengths = self.lengths
        end = max(lengths) + count
        if min(lengths) == max(lengths):
            self._positions = None
            return slice(lengths[0], end), end
        starts = torch.tensor(lengths)[:, None]
        self._positions = starts + torch.arange(count)  # (B, count)
        return self._positions[:, None], end

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new (B, H, T, D) of one layer; returns all up to the longest, (B, H, S, D).

        The causal mask covers what lies beyond the end of a shorter row.
        """
        count = k.size(2)
        end = max(self.lengths) + count
        blocks = self.cache.reserve(layer, k, self.stop, end)
        for block, new in zip(blocks, (k, v), strict=True):
            rows = block[self.start : self.stop]
            if self._positions is None:
                rows[:, end - count : end] = new.transpose(1, 2)
            else:
                index = torch.arange(rows.size(0))[:, None]
                rows[index, self._positions] = new.transpose(1, 2)
        keys, values = (block[self.start : self.stop, :end].transpose(1, 2) for block in blocks)
        return keys, values

    def advance(self, count: int) -> None:
        """Count the positions that every layer has stored."""
        for row in range(self.start, self.stop):
            self.cache.lengths[row] += count


def _next_power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()


def _grow(block: Tensor, shape: tuple[int, int]) -> Tensor:
    rows, positions = block.shape[:2]
    larger = block.new_zeros(*shape, *block.shape[2:])  # masked positions must not contain NaN
    larger[:rows, :positions] = block
    return larger
