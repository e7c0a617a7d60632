"""Two small classic datasets, each downloaded once: a list of names, and a book."""

from collections.abc import Iterator
from pathlib import Path

from nielsgpt.config.source_settings import LinesSettings
from nielsgpt.conversation import Document
from nielsgpt.data.sources import files, gutenberg
from nielsgpt.data.sources.download import download
from nielsgpt.data.sources.http import RetryPolicy
from nielsgpt.errors import DataError


def download_if_missing(root: Path, settings: LinesSettings, setting: str) -> Path:
    """The path of the file, downloaded if missing. Raises DataError if that fails."""
    path = root / settings.path
    if not path.exists():
        remedy = f"put a copy at {path}, or set {setting}.path"
        download(settings.url, path, policy=RetryPolicy(), remedy=remedy)
    return path


def read_names(path: Path) -> Iterator[Document]:
    """One document per line, so that each name gets an end token and repeats share a split.

    Raises DataError if there are no names.
    """
    empty = True
    for number, line in enumerate(files.split_lines(files.read_blocks(path)), start=1):
        if line.strip():
            empty = False
            yield Document(line.strip(), f"{path}, line {number}")
    if empty:
        raise DataError(f"{path} has no text; delete it and run the command again to download it")


def read_book(path: Path, characters: int) -> Iterator[Document]:
    """The book in chunks of whole paragraphs, without Project Gutenberg's header and license.

    Raises DataError if nothing is left.
    """
    text = gutenberg.extract_body(files.read_text(path))
    if not text.strip():
        raise DataError(
            f"{path} has no text of a book; delete it and run the command again to download it"
        )
    size = files.chunk_size(len(text), characters)
    yield from files.split_chunks(path, [text], size)
