"""Mix two sources in fixed shares of their words, the same in both splits."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from nielsgpt.conversation import Document
from nielsgpt.errors import DataError

log = logging.getLogger("nielsgpt")
Side = Literal["train", "val"]
Walk = Callable[[], Iterator[Document]]


@dataclass(frozen=True)
class WordShareMix:
    """A mix with `share` of its words from `rare`, the rest from `common`; both set `side`.

    Ends after `most_words`; if that is 0, at the end of `common`, or of `rare` if `share` is 1.
    """

    name: str
    rare: Walk
    common: Walk
    share: float
    most_words: int

    def walk(self) -> Iterator[Document]:
        """The documents of `common` in order, interleaved with `rare` to keep the share per split.

        `rare` is repeated as needed, which is logged. Raises DataError if `rare` has no document
        for a split that needs one.
        """
        if self.share == 1.0:
            yield from self._rare_alone()
            return
        cycles = {side: _Cycle(self.name, self.rare, side) for side in ("train", "val")}
        words = 0
        for document in self.common():
            cycle = cycles[document.side or "train"]
            words += _count_words(document)
            cycle.owed += _count_words(document) * self.share / (1 - self.share)
            yield document
            while cycle.owed > 0:
                yield cycle.take()
            if self.most_words and words >= self.most_words * (1 - self.share):
                break
        for side, cycle in cycles.items():
            if cycle.passes > 1:
                log.info(
                    "source %s: ancients repeated for %d epochs in %s",
                    self.name,
                    cycle.passes,
                    side,
                )

    def _rare_alone(self) -> Iterator[Document]:
        words = 0
        while True:
            for document in self.rare():
                yield document
                words += _count_words(document)
                if words >= self.most_words > 0:
                    return
            if not self.most_words or not words:
                return


class _Cycle:
    """The documents of one split, repeated forever, and the number of words still owed."""

    def __init__(self, name: str, walk: Walk, side: Side) -> None:
        self.owed = 0.0
        self.passes = 0
        self._documents = self._round(name, walk, side)

    def take(self) -> Document:
        document = next(self._documents)
        self.owed -= _count_words(document)
        return document

    def _round(self, name: str, walk: Walk, side: Side) -> Iterator[Document]:
        found = True
        while found:
            self.passes += 1
            found = False
            for document in walk():
                if document.side == side:
                    found = True
                    yield document
        raise DataError(
            f"source {name}: the ancients have no documents for {side}; download more books"
        )


def assign_sides(walk: Walk, hash_text: Callable[[str], float], val_fraction: float) -> Walk:
    """The walk with the `side` of each document set.

    Validation if the hash in [0, 1) of its text or group is at most the fraction, or the smallest
    of all; a dataset's own split takes precedence.
    """

    def walk_side() -> Iterator[Document]:
        most = _val_threshold(walk(), hash_text, val_fraction)
        for document in walk():
            side: Side = "val" if hash_text(document.group or document.text) <= most else "train"
            yield document if document.side else replace(document, side=side)

    return walk_side


def _val_threshold(
    documents: Iterator[Document], hash_text: Callable[[str], float], val_fraction: float
) -> float:
    """The fraction, or the smallest hash if no document is within the fraction."""
    nearest = 1.0
    for document in documents:
        if document.side == "val":
            return val_fraction
        if document.side is None:
            nearest = min(nearest, hash_text(document.group or document.text))
        if nearest <= val_fraction:
            return val_fraction
    return nearest


def _count_words(document: Document) -> int:
    return len(document.text.split())
