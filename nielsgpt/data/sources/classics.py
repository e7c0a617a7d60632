"""Two small classic texts, each downloaded once: a list of names, and a book."""

from collections.abc import Iterator
from pathlib import Path

from nielsgpt.config.source_settings import LinesSettings
from nielsgpt.conversation import Document
from nielsgpt.data.sources import files, gutenberg
from nielsgpt.data.sources.download import download
from nielsgpt.data.sources.http import Patience
from nielsgpt.errors import DataError


def obtain(root: Path, settings: LinesSettings, setting: str) -> Path:
    """The file, downloaded when it is missing. Raises DataError where it cannot be had."""
    path = root / settings.path
    if not path.exists():
        instead = f"put a copy at {path}, or set {setting}.path"
        download(settings.url, path, patience=Patience(), instead=instead)
    return path


def names(path: Path) -> Iterator[Document]:
    """A document a line, so that the end token ends a name and a name that is listed twice falls to
    one side of the split. Raises DataError when there is none."""
    empty = True
    for number, line in enumerate(files.lines(files.blocks(path)), start=1):
        if line.strip():
            empty = False
            yield Document(line.strip(), f"{path}, line {number}")
    if empty:
        raise DataError(f"{path} holds no line of text; delete it to have it downloaded again")


def book(path: Path, characters: int) -> Iterator[Document]:
    """The book in chunks of whole paragraphs, without Project Gutenberg's header and licence.

    Raises DataError when nothing is left.
    """
    text = gutenberg.body(files.read(path))
    if not text.strip():
        raise DataError(f"{path} holds no book; delete it to have it downloaded again")
    size = files.chunk_size(len(text), characters)
    yield from files.split_chunks(path, [text], size)
