"""The exercises of page 5: the three moves of a BPE tokenizer."""

from collections import Counter
from itertools import pairwise

from nielsgpt.micro.bpe import Bpe, Pair
from nielsgpt.micro.exercise import Exercise

PAGE = "docs/learn/5-bpe.md"


def most_frequent(words: list[tuple[list[int], int]]) -> Pair:
    """The pair that most words hold, the greatest of equals."""
    counts: Counter[Pair] = Counter()
    for ids, often in words:
        for pair in pairwise(ids):
            counts[pair] += often
    return max(counts, key=lambda pair: (counts[pair], pair))


def spelled(word: str, merges: list[Pair]) -> list[int]:
    """The ids of a word, the tokenizer being the judge."""
    return Bpe(tuple(merges)).encode(word)


def joined(ids: list[int], merges: list[Pair]) -> bytes:
    """The bytes of the ids."""
    return b"".join(Bpe(tuple(merges)).pieces[token] for token in ids)


BPE = {
    "ex14": Exercise(
        page=PAGE,
        signature="most_frequent(words: list[tuple[list[int], int]]) -> tuple[int, int]",
        task=(
            "Return the pair of neighbours that comes most often in the words.\n\n"
            "    Each word is its ids and how often the text has it. Of pairs that come equally\n"
            "    often return the greatest, as Python compares tuples."
        ),
        result="left, right",
        cases=lambda: [
            {"words": [([1, 2, 3], 1), ([1, 2], 1)]},
            {"words": [([1, 2], 3), ([2, 3, 2, 3], 2)]},
            {"words": [([1, 9], 2), ([5, 1], 2)]},
            {"words": [([5, 9], 2), ([5, 1], 2)]},
            {"words": [([7, 7, 7], 1), ([7], 50), ([8, 7], 1)]},
        ],
        expected=most_frequent,
    ),
    "ex15": Exercise(
        page=PAGE,
        signature="decode(ids: list[int], merges: list[tuple[int, int]]) -> bytes",
        task=(
            "Return the bytes that the ids stand for.\n\n"
            "    Below 256 an id is a byte; merges[0] makes id 256 of two ids, merges[1] 257, ..."
        ),
        result="bytes",
        cases=lambda: [
            {"ids": [115, 101, 97], "merges": []},
            {"ids": [256, 97], "merges": [(115, 101)]},
            {"ids": [257, 256, 33], "merges": [(97, 98), (256, 99)]},
            {"ids": [259], "merges": [(97, 97), (256, 256), (257, 257), (258, 256)]},
            {"ids": [], "merges": [(97, 97)]},
        ],
        expected=joined,
    ),
    "ex16": Exercise(
        page=PAGE,
        signature="encode(word: str, merges: list[tuple[int, int]]) -> list[int]",
        task=(
            "Return the ids of the word: begin with its UTF-8 bytes, then apply merges, always\n"
            "    the earliest learned that fits anywhere. merges[0] makes id 256, merges[1] 257."
        ),
        result="ids",
        cases=lambda: [
            {"word": "abc", "merges": []},
            {"word": "abc", "merges": [(98, 99), (97, 98)]},
            {"word": "seals", "merges": [(115, 101), (256, 97), (257, 108)]},
            {"word": "aaaab", "merges": [(97, 98), (97, 97), (257, 256)]},
            {"word": "é", "merges": [(195, 169)]},
        ],
        expected=spelled,
    ),
}
