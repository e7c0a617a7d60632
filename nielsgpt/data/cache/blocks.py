"""Blocks of documents, always cut at the same places, and their tokenized form."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

BLOCK_DOCUMENTS = 1024
BLOCK_CHARACTERS = 2**20
FIXED_PLACES = {"val": -1.0, "train": 2.0}
Ids = NDArray[np.unsignedinteger[Any]]
Item = TypeVar("Item")


@dataclass(frozen=True)
class DocumentBlock:
    """The samples of consecutive documents or conversations.

    `ids` (N,) and, for SFT, `mask` (N,), 1 where a token counts in the loss, are concatenated over
    all samples. `lengths`, `text_bytes` and `places` (S,) have one entry per sample: the number of
    ids, the number of UTF-8 bytes, and a number in [0, 1) of which the smallest go to validation,
    or one of FIXED_PLACES if the dataset has its own split.
    """

    documents: int
    ids: Ids
    lengths: NDArray[np.int64]
    text_bytes: NDArray[np.int64]
    places: NDArray[np.float64]
    mask: NDArray[np.uint8] | None = None
    replies: int = 0
    left_out: int = 0
    dropped: int = 0

    def select(self, chosen: NDArray[np.bool_]) -> tuple[Ids, NDArray[np.uint8] | None]:
        """The concatenated ids and mask of the samples where `chosen` (S,) is true."""
        if chosen.all():
            return self.ids, self.mask
        selected = np.repeat(chosen, self.lengths)  # (N,)
        return self.ids[selected], None if self.mask is None else self.mask[selected]


def cut_blocks(
    walk: Iterable[Item], count_characters: Callable[[Item], int]
) -> Iterator[list[Item]]:
    """Group items into blocks, each ending at BLOCK_DOCUMENTS or BLOCK_CHARACTERS."""
    block: list[Item] = []
    size = 0
    for item in walk:
        block.append(item)
        size += count_characters(item)
        if len(block) == BLOCK_DOCUMENTS or size >= BLOCK_CHARACTERS:
            yield block
            block, size = [], 0
    if block:
        yield block
