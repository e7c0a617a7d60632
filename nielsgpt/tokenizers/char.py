"""One id for each character of the training text; any other is spelled in bytes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nielsgpt.errors import TokenizerError
from nielsgpt.tokenizers.base import utf8
from nielsgpt.tokenizers.byte import GIVEN, ListTokenizer, pack_tokens, unpack_tokens

VOCAB_FILE = "vocab.json"
CODE_POINTS = 0x110000


class CharTokenizer(ListTokenizer):
    """Characters sorted by code point, then the 256 bytes, then the special tokens.

    >>> CharTokenizer("abc").encode("cabé")  # 198 and 172: the bytes C3 and A9, from id 3 on
    [2, 0, 1, 198, 172]
    """

    kind = "char"

    def __init__(self, characters: Sequence[str]) -> None:
        super().__init__(characters)
        if any(len(character) != 1 for character in self.known):
            raise TokenizerError("the vocabulary of characters holds longer strings")

    @cached_property
    def _ids(self) -> NDArray[np.int32]:
        """(0x110000,) the id of each code point, -1 where it has none."""
        ids = np.full(CODE_POINTS, -1, np.int32)
        ids[[ord(character) for character in self.known]] = np.arange(len(self.known))
        return ids

    def encode(self, text: str) -> list[int]:
        """The ids of the characters."""
        ids, _ = self.encode_arrays([text])
        listed: list[int] = ids.tolist()
        return listed

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text, in one go."""
        ids, lengths = self.encode_arrays(texts)
        listed = ids.tolist()
        return [listed[start:end] for start, end in pairwise([0, *lengths.cumsum().tolist()])]

    def encode_arrays(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The ids of all texts one after another, and how many each text has, (n,)."""
        for text in texts:
            utf8(text)
        points = np.frombuffer("".join(texts).encode("utf-32-le"), "<u4")
        ids, lengths = self._ids[points], np.fromiter(map(len, texts), np.int64, len(texts))
        foreign = ids < 0
        if not foreign.any():
            return ids, lengths
        spelled = points[foreign].tobytes().decode("utf-32-le").encode()
        widths = np.ones(len(points), np.int64)
        widths[foreign] += np.searchsorted([0x80, 0x800, 0x10000], points[foreign], side="right")
        ids = np.repeat(ids, widths)
        ids[ids < 0] = np.frombuffer(spelled, np.uint8) + np.int32(len(self.known))
        places = np.concatenate(([0], widths.cumsum()))
        return ids, np.diff(places[np.concatenate(([0], lengths.cumsum()))])

    def files(self) -> dict[str, bytes]:
        """The characters in both directions."""
        return {VOCAB_FILE: pack_tokens(self.known)}


def train(texts: Iterable[str], vocab_size: int) -> CharTokenizer:
    """A tokenizer of all characters of the texts; of the most frequent ones where `vocab_size`,
    an upper bound, has no room for all."""
    counts: Counter[str] = Counter()
    for text in texts:
        utf8(text)
        counts.update(text)
    kept = sorted(counts, key=lambda character: (-counts[character], character))
    return CharTokenizer(sorted(kept[: vocab_size - GIVEN]))


def restore(files: Mapping[str, bytes]) -> CharTokenizer:
    """The tokenizer of its files."""
    return CharTokenizer(unpack_tokens(files[VOCAB_FILE]))
