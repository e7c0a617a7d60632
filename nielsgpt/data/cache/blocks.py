"""A source's walk in blocks of documents, cut always at the same places, and what each becomes."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

DOCUMENTS = 1024
CHARACTERS = 2**20
ALWAYS = {"val": -1.0, "train": 2.0}
Ids = NDArray[np.unsignedinteger[Any]]
Item = TypeVar("Item")


@dataclass(frozen=True)
class DocumentBlock:
    """The samples of a run of documents or conversations.

    `ids` (N,) and for SFT `mask` (N,), 1 where the loss counts, hold all samples end to end;
    `lengths`, `text_bytes` and `places` (S,) have one entry a sample: its ids, the UTF-8 bytes that
    they spell, and where it stands between the sides: a number in [0, 1) of which the smaller ones
    fall to validation, or one of ALWAYS where the dataset has its own split.
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

    def of(self, chosen: NDArray[np.bool_]) -> tuple[Ids, NDArray[np.uint8] | None]:
        """The ids and the mask of the chosen samples, (S,), end to end."""
        if chosen.all():
            return self.ids, self.mask
        each = np.repeat(chosen, self.lengths)  # (N,)
        return self.ids[each], None if self.mask is None else self.mask[each]


def cut_blocks(walk: Iterable[Item], characters: Callable[[Item], int]) -> Iterator[list[Item]]:
    """The walk in blocks: each ends with the document that fills its number or its characters."""
    block: list[Item] = []
    held = 0
    for item in walk:
        block.append(item)
        held += characters(item)
        if len(block) == DOCUMENTS or held >= CHARACTERS:
            yield block
            block, held = [], 0
    if block:
        yield block
