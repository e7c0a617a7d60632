"""A byte-level BPE tokenizer by hand: train, encode, decode, on Python's standard library alone.

Text is split into words, each with the space before it. A word is spelled in bytes, and training
gives the most frequent pair of neighbours an id of its own, again and again (Gage 1994; Sennrich
et al. 2016; on bytes: Radford et al. 2019). Worked out on three words:

    "sea seal seals"   s e a |   s e a l |   s e a l s        ids 0 to 255 are the bytes
    3 x (s,e) (e,a)    a tie; the greater pair is s e     ->  256 is "se"
    3 x (se,a)                                            ->  257 is "sea"
    2 x ( ,sea) (sea,l)   a tie; the greater is sea l     ->  258 is "seal"
    2 x ( ,seal)                                          ->  259 is " seal"

>>> bpe = train(["sea seal seals"], 260)
>>> bpe.encode("seals sea")
[258, 115, 32, 257]
>>> bpe.decode([258, 115, 32, 257])
'seals sea'
"""

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from nielsgpt.micro.errors import MicroError
from nielsgpt.micro.files import read_text, write_text

Pair = tuple[int, int]
# GPT-2's: contractions, then letters, numbers and the rest, each with the space before it.
WORD = re.compile(
    r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", re.ASCII
)
ASCII_OF_CLASS = {"L": "X", "N": "0"}
# GPT-2 and its successors renumber the bytes, printable ones first.
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
PLACE = {byte: place for place, byte in enumerate(dict.fromkeys([*PRINTABLE, *range(256)]))}
REMEMBERED = 2**16
HOW = "nielsgpt micro bpe train TEXT"


def greatest(pair: Pair, pieces: Sequence[bytes]) -> tuple[bytes, bytes]:
    """A key that grows with the bytes of the pair, in lexical order."""
    return pieces[pair[0]], pieces[pair[1]]


def lowest(pair: Pair, pieces: Sequence[bytes]) -> tuple[int, int]:
    """A key that falls with the ids of the pair, bytes in GPT-2's order."""
    left, right = (PLACE.get(token, token) for token in pair)
    return -left, -right


# Which of the pairs that are equally frequent is merged first: the one with the greatest key.
TIES: dict[str, Callable[[Pair, Sequence[bytes]], Any]] = {"greatest": greatest, "lowest": lowest}


@dataclass(frozen=True)
class Bpe:
    """A trained tokenizer: ids 0 to 255 are the bytes, then the special tokens, then the merges."""

    merges: tuple[Pair, ...]
    specials: tuple[str, ...] = ()
    _spelled: dict[str, list[int]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def pieces(self) -> list[bytes]:
        """The bytes that each id stands for."""
        pieces = [bytes([byte]) for byte in range(256)]
        pieces += [special.encode() for special in self.specials]
        for left, right in self.merges:
            pieces.append(pieces[left] + pieces[right])
        return pieces

    @cached_property
    def ids(self) -> dict[Pair, int]:
        """The id of each merged pair; lower ids were learned earlier and are applied earlier."""
        return {pair: new for new, pair in enumerate(self.merges, 256 + len(self.specials))}

    def encode(self, text: str, specials: bool = False) -> list[int]:
        """The ids of the text; literal special tokens are text like any other unless asked for.

        Raises MicroError for a lone surrogate, which has no bytes.
        """
        ids: list[int] = []
        for part in cut(text, self.specials if specials else ()):
            if specials and part in self.specials:
                ids.append(256 + self.specials.index(part))
            else:
                for word in split(part):
                    ids += self._spell(word)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; bytes that are not UTF-8 become U+FFFD.

        Raises MicroError for an id beyond the vocabulary.
        """
        known = self.pieces
        ids = list(ids)
        foreign = [token for token in ids if not 0 <= token < len(known)]
        if foreign:
            raise MicroError(f"id {foreign[0]} is not in the vocabulary of {len(known)} tokens")
        return b"".join(known[token] for token in ids).decode("utf-8", errors="replace")

    def save(self, path: Path) -> None:
        """Write special tokens and merges as JSON: the whole tokenizer, since pieces follow."""
        write_text(path, json.dumps({"specials": self.specials, "merges": self.merges}) + "\n")

    def _spell(self, word: str) -> list[int]:
        if word not in self._spelled:
            ids = list(utf8(word))
            while known := self.ids.keys() & set(pairwise(ids)):
                first = min(known, key=self.ids.__getitem__)
                ids = merge(ids, first, self.ids[first])
            if len(self._spelled) >= REMEMBERED:
                self._spelled.clear()
            self._spelled[word] = ids
        return self._spelled[word]


def train(
    texts: Iterable[str], vocab_size: int, specials: Sequence[str] = (), ties: str = "greatest"
) -> Bpe:
    """The tokenizer of the texts: at most `vocab_size` ids, fewer where no pair is left to merge.

    The most frequent pair comes first. Among equals `greatest` takes the pair whose bytes come last
    in lexical order; `lowest` the one whose ids come first, bytes in GPT-2's order, which is how
    Hugging Face `tokenizers` trains. Nothing is merged across a special token. Raises MicroError
    when bytes and special tokens alone are more than `vocab_size`.
    """
    if "" in specials or len(set(specials)) < len(specials):
        raise MicroError(f"the special tokens {', '.join(specials)!r} contain duplicates")
    given = 256 + len(specials)
    if vocab_size < given:
        raise MicroError(
            f"a vocabulary of {vocab_size} has no room for 256 bytes and {len(specials)} special "
            f"tokens; ask for {given} or more"
        )
    text = Neighbours(texts, specials)
    pieces = list(Bpe((), tuple(specials)).pieces)
    merges: list[Pair] = []
    while len(pieces) < vocab_size and text.counts:
        pair = max(text.most_frequent(), key=lambda pair: TIES[ties](pair, pieces))
        text.merge(pair, len(pieces))
        pieces.append(pieces[pair[0]] + pieces[pair[1]])
        merges.append(pair)
    return Bpe(tuple(merges), tuple(specials))


def load(path: Path) -> Bpe:
    """The tokenizer that `save` wrote. Raises MicroError if it is missing or damaged."""
    text = read_text(path, f"make it with: {HOW} --out {path}")
    try:
        stored = json.loads(text)
        bpe = Bpe(tuple((a, b) for a, b in stored["merges"]), tuple(stored["specials"]))
        sound = all(0 <= min(pair) <= max(pair) < new for pair, new in bpe.ids.items())
        if not sound or len(bpe.pieces) != 256 + len(bpe.specials) + len(bpe.ids):
            raise ValueError("its merges do not follow from one another")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MicroError(f"{path} is not a BPE tokenizer ({error}); make it again: {HOW}") from None
    return bpe


class Neighbours:
    """The different words of the texts as ids, and how often two ids are neighbours in them.

    `places` knows which words hold a pair, so that a merge touches those words only.
    """

    def __init__(self, texts: Iterable[str], specials: Sequence[str]) -> None:
        parts = (part for text in texts for part in cut(text, specials) if part not in specials)
        found = Counter(word for part in parts for word in split(part))
        self.words = [list(utf8(word)) for word in found]
        self.often = list(found.values())
        self.counts: Counter[Pair] = Counter()
        self.places: defaultdict[Pair, set[int]] = defaultdict(set)
        for place in range(len(self.words)):
            self._add(place)

    def most_frequent(self) -> list[Pair]:
        """All the pairs that share the highest count."""
        most = max(self.counts.values())
        return [pair for pair, count in self.counts.items() if count == most]

    def merge(self, pair: Pair, new: int) -> None:
        """Let `new` stand for the pair in every word."""
        for place in self.places.pop(pair):
            self._remove(place)
            self.words[place] = merge(self.words[place], pair, new)
            self._add(place)

    def _add(self, place: int) -> None:
        for pair in pairwise(self.words[place]):
            self.counts[pair] += self.often[place]
            self.places[pair].add(place)

    def _remove(self, place: int) -> None:
        for pair in pairwise(self.words[place]):
            self.counts[pair] -= self.often[place]
            if not self.counts[pair]:
                del self.counts[pair]


def split(text: str) -> list[str]:
    """The text in GPT-2's words: contractions, letters, numbers, other signs, white space.

    >>> split("I've 2 boats,  don't I?")
    ['I', "'ve", ' 2', ' boats', ',', ' ', ' don', "'t", ' I', '?']

    Every character beyond ASCII is stood in for by one of ASCII of its class, so the pattern needs
    no Unicode. The classes are those of Python's tables, as new as this Python.
    """
    strange = {character for character in set(text) if not character.isascii()}
    plain = text.translate({ord(character): _stand_in(character) for character in strange})
    return [text[word.start() : word.end()] for word in WORD.finditer(plain)]


def utf8(word: str) -> bytes:
    """The bytes of the word. Raises MicroError for a lone surrogate."""
    try:
        return word.encode()
    except UnicodeEncodeError as error:
        raise MicroError(
            f"the text contains the lone surrogate U+{ord(word[error.start]):04X}, which "
            "has no bytes in UTF-8; remove it"
        ) from None


def _stand_in(character: str) -> str:
    if character.isspace():
        return "\t"
    return ASCII_OF_CLASS.get(unicodedata.category(character)[0], "!")


def cut(text: str, specials: Sequence[str]) -> list[str]:
    """The text cut before and after each special token, the longest where two begin together."""
    longest = sorted(specials, key=len, reverse=True)
    return re.split(f"({'|'.join(map(re.escape, longest))})", text) if specials else [text]


def merge(ids: Sequence[int], pair: Pair, new: int) -> list[int]:
    """The ids with `new` for every occurrence of the pair, from the left.

    >>> merge([7, 7, 7, 8], (7, 7), 9)
    [9, 7, 8]
    """
    merged: list[int] = []
    place = 0
    while place < len(ids):
        here = ids[place] == pair[0] and place + 1 < len(ids) and ids[place + 1] == pair[1]
        merged.append(new if here else ids[place])
        place += 2 if here else 1
    return merged
