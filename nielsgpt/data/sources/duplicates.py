"""Near-duplicates: drafts, copies and chats saved after each turn, found before they are split.

A text is known by the smallest hashes of its runs of 16 bytes (a bottom-k sketch, Broder 1997);
two texts are near-duplicates where the sketches share 40 %. A conversation that another one
begins with is one too. Texts that are linked, over others too, are a group: they go to one side
of the split. Nothing is left out.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nielsgpt.conversation import Conversation, Document

Hashes = NDArray[np.uint64]
SKETCH = 48  # hashes that are kept of a text
KEYS = 6  # of these, those under which a text is looked up
LIKE = 0.4  # share of a sketch; chunks that overlap by half share a third
FEWEST = 8  # hashes that a sketch needs to tell anything
MOST = 500_000  # texts that are compared; about 600 MB
PIECE = 2**14  # bytes that are hashed at once
MULTIPLIER = 0x9E3779B97F4A7C15
REPEATS = "exact repeats of another text"
NEAR = "near-duplicates, kept on one side of the split"
APART = "near-duplicates that are more than half of the source, so split as any other text"
BEYOND = "texts that were not compared, for there were too many"


@dataclass(frozen=True)
class Found:
    """The group of each text that has one, by the text's digest; and counts, in words."""

    groups: dict[bytes, str]
    counts: Counter[str]

    def group(self, item: Document | Conversation) -> str | None:
        """The item's group, where it has near-duplicates."""
        return self.groups.get(digest(item.text))


def find(items: Iterable[Document | Conversation]) -> Found:
    """Walk the items once and find the groups; the memory is that of at most MOST texts."""
    compared, counts = _Compared(), Counter[str]()
    for item in items:
        name = digest(item.text)
        if name in compared.numbers:
            counts[REPEATS] += 1
        elif len(compared.numbers) < MOST:
            compared.add(name, item)
        else:
            counts[BEYOND] += 1
    groups: dict[bytes, str] = {}
    for names in compared.groups():
        apart = 2 * len(names) > len(compared.numbers)
        counts[APART if apart else NEAR] += len(names)
        if not apart:
            groups |= dict.fromkeys(names, f"near {min(names).hex()}")
    return Found(groups, +counts)


def digest(text: str) -> bytes:
    """16 bytes that stand for the text."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


def sketch(text: str) -> Hashes:
    """The SKETCH smallest hashes of its runs of 16 bytes, case and white space aside."""
    data = np.frombuffer(" ".join(text.lower().split()).encode("utf-8", "replace"), np.uint8)
    smallest = np.empty(0, np.uint64)
    for start in range(0, len(data), PIECE):
        hashes = _hashes(data[start : start + PIECE + 15])
        smallest = np.unique(np.concatenate([smallest, hashes]))[:SKETCH]
    return smallest


def likeness(one: Hashes, other: Hashes) -> float:
    """An estimate of the share of runs that two texts have in common, of all that either has."""
    both = np.union1d(one, other)[:SKETCH]
    shared = np.isin(both, one) & np.isin(both, other)
    return float(shared.sum() / max(1, len(both)))


def _hashes(data: NDArray[np.uint8]) -> Hashes:
    """A hash of each run of 16 bytes: of 2 by those of 1, of 4 by those of 2, and so on."""
    hashes = data.astype(np.uint64)
    for reach in (1, 2, 4, 8):
        factor = np.uint64(pow(MULTIPLIER, reach, 2**64))
        hashes = hashes[:-reach] * factor + hashes[reach:]
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(MULTIPLIER)
    return hashes ^ (hashes >> np.uint64(29))


class _Compared:
    """The texts so far, each linked to those before that it is like."""

    def __init__(self) -> None:
        self.numbers: dict[bytes, int] = {}
        self._links: list[int] = []  # each text's link towards the first of its group
        self._sketches: list[Hashes] = []
        self._by_hash: dict[int, int] = {}
        self._beginnings: list[tuple[int, bytes]] = []

    def add(self, name: bytes, item: Document | Conversation) -> None:
        """Link the item to what it is like."""
        number = self.numbers[name] = len(self.numbers)
        self._links.append(number)
        self._sketches.append(sketch(_said(item)))
        if len(self._sketches[number]) >= FEWEST:
            keys = self._sketches[number][:KEYS].tolist()
            for other in dict.fromkeys(self._by_hash.setdefault(key, number) for key in keys):
                if likeness(self._sketches[number], self._sketches[other]) >= LIKE:
                    self._link(number, other)
        if isinstance(item, Conversation):
            self._beginnings += [(number, digest(begun)) for begun in _beginnings(item)]

    def groups(self) -> list[list[bytes]]:
        """The names of each group of two or more."""
        for number, begun in self._beginnings:
            if begun in self.numbers:
                self._link(number, self.numbers[begun])
        found: dict[int, list[bytes]] = {}
        for name, number in self.numbers.items():
            found.setdefault(self._first(number), []).append(name)
        return [names for names in found.values() if len(names) > 1]

    def _first(self, number: int) -> int:
        while self._links[number] != number:
            self._links[number] = self._links[self._links[number]]
            number = self._links[number]
        return number

    def _link(self, one: int, other: int) -> None:
        first, second = sorted((self._first(one), self._first(other)))
        self._links[second] = first


def _said(item: Document | Conversation) -> str:
    """The text without the system prompt, which many conversations have in common."""
    if isinstance(item, Document) or not item.system:
        return item.text
    return "\n".join(message.content for message in item.messages[1:])


def _beginnings(item: Conversation) -> list[str]:
    """The text of the conversation as it was after each reply but the last."""
    ends = [n for n, message in enumerate(item.messages, start=1) if message.role == "assistant"]
    return [Conversation(item.messages[:end]).text for end in ends if end < len(item.messages)]
