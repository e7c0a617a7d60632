"""The keys and values of every position read so far, so that a new token costs one position.

Each row of the batch has its own length. Blocks of (rows, positions, H, D) a layer grow by doubling
up to what was asked for. The cache never slides by itself: positions are part of what the keys
hold, so a full row is read anew by the batcher (generate.py's docstring has the rule).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST = 64  # positions that are reserved at first


class KVCache:
    """Room for `rows` rows of at most `capacity` positions; `lengths` says what each one holds."""

    def __init__(self, capacity: int, rows: int = 1) -> None:
        self.capacity = capacity
        self.lengths = [0] * rows
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    def span(self, start: int, stop: int) -> "Span":
        """These rows, for the model to read on."""
        return Span(self, start, stop)

    def alone(self) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """The next position of the only row, (1, 1, 1), and the blocks of all layers, with room
        for it; it counts as read."""
        (length,) = self.lengths
        self.lengths[0] += 1
        blocks = [
            self.reserved(layer, keys.transpose(1, 2), 1, length + 1)
            for layer, (keys, _) in sorted(self._layers.items())
        ]
        return torch.tensor([[[length]]], device=blocks[0][0].device), blocks

    @torch.inference_mode()
    def swap(self, one: int, other: int) -> None:
        """Let two rows change places."""
        if one == other:
            return
        lengths, pair, turned = self.lengths, [one, other], [other, one]
        lengths[one], lengths[other] = lengths[other], lengths[one]
        for layer, (keys, _) in list(self._layers.items()):
            for block in self.reserved(layer, keys.transpose(1, 2), max(pair) + 1, 1):
                block[pair] = block[turned]

    @torch.inference_mode()
    def reserved(
        self, layer: int, like: Tensor, rows: int, positions: int
    ) -> tuple[Tensor, Tensor]:
        """The keys and values of one layer, with room for so many rows and positions."""
        if layer in self._layers:
            keys, values = self._layers[layer]
            if rows <= keys.size(0) and positions <= keys.size(1):
                return keys, values
        else:
            keys = values = like.new_empty(0, 0, like.size(1), like.size(3))
        shape = (
            min(max(keys.size(0), _power(rows)), len(self.lengths)),
            min(max(keys.size(1), _power(positions), SMALLEST), self.capacity),
        )
        assert rows <= shape[0], f"{rows} rows in a cache for {shape[0]}"
        assert positions <= shape[1], f"{positions} positions in a cache for {shape[1]}"
        self._layers[layer] = _grow(keys, shape), _grow(values, shape)
        return self._layers[layer]


@dataclass
class Span:
    """The rows from `start` to `stop` of a cache: what the model reads through and adds to."""

    cache: KVCache
    start: int
    stop: int

    @property
    def lengths(self) -> list[int]:
        """How many positions each row holds."""
        return self.cache.lengths[self.start : self.stop]

    def place(self, count: int) -> tuple[slice | Tensor, int]:
        """The positions of the next `count` ids, and the end of the longest row with them.

        A slice where all rows are alike, else (B, 1, count).
        """
        lengths = self.lengths
        end = max(lengths) + count
        if min(lengths) == max(lengths):
            self._into = None
            return slice(lengths[0], end), end
        starts = torch.tensor(lengths)[:, None]
        positions = starts + torch.arange(count)
        self._into = positions
        return positions[:, None], end

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new (B, H, T, D) of one layer; returns all up to the longest, (B, H, S, D).

        What lies beyond the end of a shorter row is masked by its positions.
        """
        count = k.size(2)
        end = max(self.lengths) + count
        blocks = self.cache.reserved(layer, k, self.stop, end)
        for block, new in zip(blocks, (k, v), strict=True):
            rows = block[self.start : self.stop]
            if self._into is None:
                rows[:, end - count : end] = new.transpose(1, 2)
            else:
                index = torch.arange(rows.size(0))[:, None]
                rows[index, self._into] = new.transpose(1, 2)
        keys, values = (block[self.start : self.stop, :end].transpose(1, 2) for block in blocks)
        return keys, values

    def advance(self, count: int) -> None:
        """Count the positions that every layer has now stored."""
        for row in range(self.start, self.stop):
            self.cache.lengths[row] += count


def _power(count: int) -> int:
    return 1 << (count - 1).bit_length()


def _grow(block: Tensor, shape: tuple[int, int]) -> Tensor:
    rows, positions = block.shape[:2]
    larger = block.new_zeros(*shape, *block.shape[2:])  # masked positions must not hold a NaN
    larger[:rows, :positions] = block
    return larger
