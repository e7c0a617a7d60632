"""Character tokenizer: an id for each character of the training text; others become bytes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nielsgpt.errors import TokenizerError
from nielsgpt.tokenizers.base import encode_utf8
from nielsgpt.tokenizers.byte import FIXED_IDS, ListTokenizer, pack_tokens, unpack_tokens

VOCAB_FILE = "vocab.json"
CODE_POINTS = 0x110000


class CharTokenizer(ListTokenizer):
    """Characters sorted by code point, then the 256 bytes, then the special tokens.

    >>> CharTokenizer("abc").encode("cabé")  # 198 and 172: the bytes C3 and A9, from id 3 on
    [2, 0, 1, 198, 172]
    """

    kind = "char"

    def __init__(self, vocabulary: Sequence[str]) -> None:
        super().__init__(vocabulary)
        if any(len(character) != 1 for character in self.vocabulary):
            raise TokenizerError("the character vocabulary contains longer strings")

    @cached_property
    def _ids(self) -> NDArray[np.int32]:
        """(0x110000,) the id of each code point, or -1."""
        ids = np.full(CODE_POINTS, -1, np.int32)
        ids[[ord(character) for character in self.vocabulary]] = np.arange(len(self.vocabulary))
        return ids

    def encode(self, text: str) -> list[int]:
        """The ids of the characters."""
        ids, _ = self.encode_arrays([text])
        tokens: list[int] = ids.tolist()
        return tokens

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text, vectorized."""
        ids, lengths = self.encode_arrays(texts)
        tokens = ids.tolist()
        return [tokens[start:end] for start, end in pairwise([0, *lengths.cumsum().tolist()])]

    def encode_arrays(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The concatenated ids of all texts, (N,), and the number of ids of each text, (n,)."""
        for text in texts:
            encode_utf8(text)
        points = np.frombuffer("".join(texts).encode("utf-32-le"), "<u4")
        ids, lengths = self._ids[points], np.fromiter(map(len, texts), np.int64, len(texts))
        foreign = ids < 0
        if not foreign.any():
            return ids, lengths
        foreign_bytes = points[foreign].tobytes().decode("utf-32-le").encode()
        widths = np.ones(len(points), np.int64)
        widths[foreign] += np.searchsorted([0x80, 0x800, 0x10000], points[foreign], side="right")
        ids = np.repeat(ids, widths)
        ids[ids < 0] = np.frombuffer(foreign_bytes, np.uint8) + np.int32(len(self.vocabulary))
        offsets = np.concatenate(([0], widths.cumsum()))
        return ids, np.diff(offsets[np.concatenate(([0], lengths.cumsum()))])

    def files(self) -> dict[str, bytes]:
        """The vocabulary file."""
        return {VOCAB_FILE: pack_tokens(self.vocabulary)}


def train(texts: Iterable[str], vocab_size: int) -> CharTokenizer:
    """Train a tokenizer on the texts, keeping the most frequent characters up to `vocab_size`."""
    counts: Counter[str] = Counter()
    for text in texts:
        encode_utf8(text)
        counts.update(text)
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    return CharTokenizer(sorted(ranked[: vocab_size - FIXED_IDS]))


def restore(files: Mapping[str, bytes]) -> CharTokenizer:
    """Restore the tokenizer from its files."""
    return CharTokenizer(unpack_tokens(files[VOCAB_FILE]))
