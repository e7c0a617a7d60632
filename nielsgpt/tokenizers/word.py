"""One id for each frequent word; any other is spelled in bytes.

A text is cut into words with the space before them, single marks, and white space; nothing is
dropped or folded, so the parts are the text.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from nielsgpt.tokenizers.base import too_large, utf8
from nielsgpt.tokenizers.byte import GIVEN, ListTokenizer, pack_tokens, unpack_tokens

VOCAB_FILE = "vocab.json"
WORDS = re.compile(r" ?\w+|[^\w\s]|\s+?(?= ?\w)|\s+")


class WordTokenizer(ListTokenizer):
    """Words, the most frequent first, then the 256 bytes, then the special tokens.

    >>> WordTokenizer(["one", " two"]).encode("one two!")  # 35: the byte 21, from id 2 on
    [0, 1, 35]
    """

    kind = "word"

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(words)
        self._ids = _Ids({word: (token,) for token, word in enumerate(self.known)})
        self._ids.first_byte = len(self.known)

    def encode(self, text: str) -> list[int]:
        """The ids of the words."""
        utf8(text)
        return list(chain.from_iterable(map(self._ids.__getitem__, WORDS.findall(text))))

    def files(self) -> dict[str, bytes]:
        """The words in both directions."""
        return {VOCAB_FILE: pack_tokens(self.known)}


class _Ids(dict[str, tuple[int, ...]]):
    """The ids of a word: its own, or those of its bytes."""

    first_byte: int

    def __missing__(self, word: str) -> tuple[int, ...]:
        return tuple(self.first_byte + byte for byte in word.encode())


def train(texts: Iterable[str], vocab_size: int) -> WordTokenizer:
    """A tokenizer of exactly `vocab_size` ids. Raises TokenizerError for a corpus of fewer words.

    Words that are equally frequent are taken in the order of their characters.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        utf8(text)
        counts.update(WORDS.findall(text))
    if len(counts) + GIVEN < vocab_size:
        raise too_large(vocab_size, len(counts) + GIVEN)
    kept = sorted(counts, key=lambda word: (-counts[word], word))
    return WordTokenizer(kept[: vocab_size - GIVEN])


def restore(files: Mapping[str, bytes]) -> WordTokenizer:
    """The tokenizer of its files."""
    return WordTokenizer(unpack_tokens(files[VOCAB_FILE]))
