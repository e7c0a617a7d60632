"""Two sources as one, in fixed shares of their words, alike on either side of the split."""

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
    """`share` of the words from `rare`, the rest from `common`; both walks know their sides.

    Goes on to `most_words` in all; where it is 0, to the end of `common`, or at share 1 of `rare`.
    """

    name: str
    rare: Walk
    common: Walk
    share: float
    most_words: int

    def walk(self) -> Iterator[Document]:
        """The documents of `common` in order, and on each side as soon as it is owed the next of
        `rare`, which begins anew where it is short; a line says how often.

        Raises DataError when `rare` has no document for a side that needs one.
        """
        if self.share == 1.0:
            yield from self._rare_alone()
            return
        rings = {side: _Ring(self.name, self.rare, side) for side in ("train", "val")}
        words = 0
        for document in self.common():
            ring = rings[document.side or "train"]
            words += _words(document)
            ring.owed += _words(document) * self.share / (1 - self.share)
            yield document
            while ring.owed > 0:
                yield ring.turn()
            if self.most_words and words >= self.most_words * (1 - self.share):
                break
        for side, ring in rings.items():
            if ring.rounds > 1:
                log.info("source %s: ancients told %d times for %s", self.name, ring.rounds, side)

    def _rare_alone(self) -> Iterator[Document]:
        words = 0
        while True:
            for document in self.rare():
                yield document
                words += _words(document)
                if words >= self.most_words > 0:
                    return
            if not self.most_words or not words:
                return


class _Ring:
    """The documents of one side, round and round, and how many words of them are owed."""

    def __init__(self, name: str, walk: Walk, side: Side) -> None:
        self.owed, self.rounds = 0.0, 0
        self._documents = self._round(name, walk, side)

    def turn(self) -> Document:
        document = next(self._documents)
        self.owed -= _words(document)
        return document

    def _round(self, name: str, walk: Walk, side: Side) -> Iterator[Document]:
        found = True
        while found:
            self.rounds += 1
            found = False
            for document in walk():
                if document.side == side:
                    found = True
                    yield document
        raise DataError(f"source {name}: the ancients have nothing for {side}; download more books")


def split_sides(walk: Walk, place: Callable[[str], float], val_fraction: float) -> Walk:
    """The walk with the side of each document: its dataset's own, else validation where `place` of
    its text, evenly spread from 0 to 1, is within the fraction, or is the smallest of all."""

    def walked() -> Iterator[Document]:
        most = _reach(walk(), place, val_fraction)
        for document in walk():
            side: Side = "val" if place(document.group or document.text) <= most else "train"
            yield document if document.side else replace(document, side=side)

    return walked


def _reach(
    documents: Iterator[Document], place: Callable[[str], float], val_fraction: float
) -> float:
    """The fraction, or more where no document is within it."""
    nearest = 1.0
    for document in documents:
        if document.side == "val":
            return val_fraction
        if document.side is None:
            nearest = min(nearest, place(document.group or document.text))
        if nearest <= val_fraction:
            return val_fraction
    return nearest


def _words(document: Document) -> int:
    return len(document.text.split())
