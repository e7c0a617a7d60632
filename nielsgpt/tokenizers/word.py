"""Word tokenizer: an id for each frequent word; other words become bytes.

A text is split into words with their leading space, punctuation marks, and white space. Nothing is
dropped or normalized, so the parts concatenate to the text.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from nielsgpt.tokenizers.base import encode_utf8, vocab_size_error
from nielsgpt.tokenizers.byte import FIXED_IDS, ListTokenizer, pack_tokens, unpack_tokens

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
        self._ids = _Ids({word: (token,) for token, word in enumerate(self.vocabulary)})
        self._ids.first_byte = len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """The ids of the words."""
        encode_utf8(text)
        return list(chain.from_iterable(map(self._ids.__getitem__, WORDS.findall(text))))

    def files(self) -> dict[str, bytes]:
        """The vocabulary file."""
        return {VOCAB_FILE: pack_tokens(self.vocabulary)}


class _Ids(dict[str, tuple[int, ...]]):
    """The ids of a word: a single id, or the ids of its bytes if it is not in the vocabulary."""

    first_byte: int

    def __missing__(self, word: str) -> tuple[int, ...]:
        return tuple(self.first_byte + byte for byte in word.encode())


def train(texts: Iterable[str], vocab_size: int) -> WordTokenizer:
    """Train a tokenizer with exactly `vocab_size` ids.

    Ties in frequency are broken alphabetically. Raises TokenizerError for too few words.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        encode_utf8(text)
        counts.update(WORDS.findall(text))
    if len(counts) + FIXED_IDS < vocab_size:
        raise vocab_size_error(vocab_size, len(counts) + FIXED_IDS)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return WordTokenizer(ranked[: vocab_size - FIXED_IDS])


def restore(files: Mapping[str, bytes]) -> WordTokenizer:
    """Restore the tokenizer from its files."""
    return WordTokenizer(unpack_tokens(files[VOCAB_FILE]))
