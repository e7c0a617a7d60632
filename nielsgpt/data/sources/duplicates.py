"""Find near-duplicates (drafts, copies, chats saved after each turn), to keep them in one split.

A text is represented by the smallest hashes of its 16-byte substrings (a bottom-k sketch, Broder
1997). Two documents are near-duplicates if their sketches share 10 %: pieces of a file are cut at
other places in an earlier draft, so that a piece overlaps several. Two conversations are if they
share 40 %, for many have formulas in common, or if one begins with the other. Connected texts form
a group, which goes to one split. Nothing is dropped.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nielsgpt.conversation import Conversation, Document

Hashes = NDArray[np.uint64]
SKETCH = 96  # hashes per text
KEYS = 24  # the hashes of a sketch by which a text is looked up
MIN_SIMILARITY: dict[type, float] = {Document: 0.1, Conversation: 0.4}
MIN_HASHES = 8  # shorter sketches are not compared
MAX_TEXTS = 200_000  # about 700 MB of memory
CHUNK_BYTES = 2**14  # bytes hashed at once
MULTIPLIER = 0x9E3779B97F4A7C15
REPEATS = "exact repeats of another text"
NEAR = "near-duplicates, kept on one side of the split"
APART = "near-duplicates that are more than half of the source, so split as any other text"
NOT_COMPARED = "texts that were not compared, for there were too many"


@dataclass(frozen=True)
class Duplicates:
    """The group of each near-duplicate by its digest, and counts by description."""

    groups: dict[bytes, str]
    counts: Counter[str]

    def group(self, item: Document | Conversation) -> str | None:
        """The group of the item; None if it has no near-duplicates."""
        return self.groups.get(digest(item.text))


def find_duplicates(items: Iterable[Document | Conversation]) -> Duplicates:
    """Group the near-duplicates among the items; compares at most MAX_TEXTS texts."""
    compared, counts = _Index(), Counter[str]()
    for item in items:
        name = digest(item.text)
        if name in compared.numbers:
            counts[REPEATS] += 1
        elif len(compared.numbers) < MAX_TEXTS:
            compared.add(name, item)
        else:
            counts[NOT_COMPARED] += 1
    groups: dict[bytes, str] = {}
    for digests in compared.groups():
        apart = 2 * len(digests) > len(compared.numbers)
        counts[APART if apart else NEAR] += len(digests)
        if not apart:
            groups |= dict.fromkeys(digests, f"near {min(digests).hex()}")
    return Duplicates(groups, +counts)


def digest(text: str) -> bytes:
    """A 16-byte hash of the text."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


def sketch_text(text: str) -> Hashes:
    """The SKETCH smallest hashes of 16-byte substrings, ignoring case and white space."""
    data = np.frombuffer(" ".join(text.lower().split()).encode("utf-8", "replace"), np.uint8)
    smallest = np.empty(0, np.uint64)
    for start in range(0, len(data), CHUNK_BYTES):
        hashes = _hash_runs(data[start : start + CHUNK_BYTES + 15])
        smallest = np.unique(np.concatenate([smallest, hashes]))[:SKETCH].copy()
    return smallest


def estimate_similarity(one: Hashes, other: Hashes) -> float:
    """Estimate the Jaccard similarity of two texts from their sketches."""
    both = np.union1d(one, other)[:SKETCH]
    shared = np.isin(both, one) & np.isin(both, other)
    return float(shared.sum() / max(1, len(both)))


def _hash_runs(data: NDArray[np.uint8]) -> Hashes:
    """The hash of each 16-byte substring, by doubling: 2 bytes from 1, 4 from 2, and so on."""
    hashes = data.astype(np.uint64)
    for width in (1, 2, 4, 8):
        factor = np.uint64(pow(MULTIPLIER, width, 2**64))
        hashes = hashes[:-width] * factor + hashes[width:]
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(MULTIPLIER)
    return hashes ^ (hashes >> np.uint64(29))


class _Index:
    """The texts so far, each linked to similar earlier ones (union-find)."""

    def __init__(self) -> None:
        self.numbers: dict[bytes, int] = {}
        self._links: list[int] = []  # the parent of each text in the union-find forest
        self._sketches: list[Hashes] = []
        self._by_hash: dict[int, int] = {}
        self._beginnings: list[tuple[int, bytes]] = []

    def add(self, name: bytes, item: Document | Conversation) -> None:
        """Add an item and link it to similar ones."""
        number = self.numbers[name] = len(self.numbers)
        self._links.append(number)
        self._sketches.append(sketch_text(_text_without_system(item)))
        if len(self._sketches[number]) >= MIN_HASHES:
            keys = self._sketches[number][:KEYS].tolist()
            for other in dict.fromkeys(self._by_hash.setdefault(key, number) for key in keys):
                if (
                    estimate_similarity(self._sketches[number], self._sketches[other])
                    >= MIN_SIMILARITY[type(item)]
                ):
                    self._link(number, other)
        if isinstance(item, Conversation):
            self._beginnings += [(number, digest(beginning)) for beginning in _beginnings(item)]

    def groups(self) -> list[list[bytes]]:
        """The digests of each group of two or more texts."""
        for number, beginning in self._beginnings:
            if beginning in self.numbers:
                self._link(number, self.numbers[beginning])
        found: dict[int, list[bytes]] = {}
        for name, number in self.numbers.items():
            found.setdefault(self._first(number), []).append(name)
        return [digests for digests in found.values() if len(digests) > 1]

    def _first(self, number: int) -> int:
        while self._links[number] != number:
            self._links[number] = self._links[self._links[number]]
            number = self._links[number]
        return number

    def _link(self, one: int, other: int) -> None:
        first, second = sorted((self._first(one), self._first(other)))
        self._links[second] = first


def _text_without_system(item: Document | Conversation) -> str:
    """The text without the system prompt, which many conversations share."""
    if isinstance(item, Document) or not item.system:
        return item.text
    return "\n".join(message.content for message in item.messages[1:])


def _beginnings(item: Conversation) -> list[str]:
    """The text of the conversation up to each reply except the last."""
    ends = [n for n, message in enumerate(item.messages, start=1) if message.role == "assistant"]
    return [Conversation(item.messages[:end]).text for end in ends if end < len(item.messages)]
