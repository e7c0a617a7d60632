"""Text into documents, and documents into the ids that the model reads.

    alphabet of "emma", "ava"   a e m v, and BOS behind them as number 4
    the document "ava"          BOS a v a BOS = 4 0 3 0 4

BOS says that a document begins, and at its end that it is over. A window cut out of a book ends
nowhere, so prose can do without the second one.
"""

import logging
import os.path
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nielsgpt.micro.errors import MicroError
from nielsgpt.micro.files import read_text
from nielsgpt.micro.names import invented
from nielsgpt.micro.scenarios import Data, Scenario, names

log = logging.getLogger("nielsgpt")
LICENCE = re.compile(r"\*\*\* ?START OF TH[^\n]*\*\*\*(.*?)\*\*\* ?END OF TH", re.S)


@dataclass(frozen=True)
class Alphabet:
    """The characters that a model knows, each with the id that is its place, and BOS after them."""

    characters: tuple[str, ...]

    @property
    def bos(self) -> int:
        """The id that begins a document."""
        return len(self.characters)

    @property
    def vocab_size(self) -> int:
        """The number of ids."""
        return len(self.characters) + 1

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {character: id for id, character in enumerate(self.characters)}

    def encode(self, text: str) -> list[int]:
        """Return the ids of the characters, skipping unknown ones."""
        return [self._ids[character] for character in text if character in self._ids]

    def unknown(self, text: str) -> str:
        """The characters of the text that are unknown, each once."""
        return "".join(sorted(set(text) - set(self.characters)))


@dataclass(frozen=True)
class Corpus:
    """The training data: documents as token ids, in training order."""

    alphabet: Alphabet
    sequences: Sequence[Sequence[int]]


def load(root: Path, scenario: Scenario) -> Corpus:
    """The scenario's documents, shuffled by its seed. Raises MicroError if there are none."""
    data = scenario.data
    texts = split(_text(root, scenario), data)
    random.Random(scenario.training.seed).shuffle(texts)
    alphabet = alphabet_of(texts)
    end = [alphabet.bos] if data.trailing_bos else []
    sequences = [[alphabet.bos, *alphabet.encode(text), *end] for text in texts]
    if not sequences:
        raise MicroError(f"{place(root, scenario)} contains no document; put your text there")
    return Corpus(alphabet, sequences)


def alphabet_of(texts: Iterable[str]) -> Alphabet:
    """Every character of the texts, in the order of Unicode."""
    return Alphabet(tuple(sorted(set().union(*texts))))


def split(text: str, data: Data) -> list[str]:
    """The documents of a text, in its order: its lines, or its windows.

    Windows of chunk_size characters, white space counted as one space, begin every
    chunk_size - chunk_overlap characters; a last one that is shorter than half is left out.
    """
    if data.format == "lines":
        return [line.strip() for line in text.splitlines() if line.strip()]
    flat = " ".join(text.split())
    starts = range(0, len(flat), data.chunk_size - data.chunk_overlap)
    windows = [flat[start : start + data.chunk_size].strip() for start in starts]
    return [window for window in windows if 2 * len(window) >= data.chunk_size]


def without_licence(text: str) -> str:
    """A book without what Project Gutenberg writes before and after it."""
    book = LICENCE.search(text)
    return book[1] if book else text


def place(root: Path, scenario: Scenario) -> Path:
    """The file of the scenario's text; a leading ~ is the home folder."""
    return root / os.path.expanduser(scenario.data.path)


def _text(root: Path, scenario: Scenario) -> str:
    path = place(root, scenario)
    which = scenario.name if scenario.name in names() else "-c FILE"
    command = f"nielsgpt micro download {which}"
    if scenario.data.invented and not path.exists():
        log.info("%s is not there: using generated names; for real ones: %s", path, command)
        return "\n".join(invented())
    fetched = f"fetch it with: {command}, or " if scenario.data.download_url else ""
    return without_licence(read_text(path, f"{fetched}put your text there"))
