"""Your own notes: every .md file below a folder is a document."""

from collections.abc import Iterator
from pathlib import Path

from nielsgpt.config.source_settings import RoamSettings
from nielsgpt.conversation import Document
from nielsgpt.data.sources import files
from nielsgpt.errors import DataError

OLDER_PATH = ".roam-data"
SUFFIXES = (".md",)


def folder(root: Path, settings: RoamSettings) -> Path:
    """Where the notes are: where the default folder is missing, in the older `.roam-data`."""
    chosen = root / settings.path
    older = root / OLDER_PATH
    is_older = settings == RoamSettings() and not chosen.exists() and older.exists()
    return older if is_older else chosen


def find(root: Path, settings: RoamSettings) -> list[Path]:
    """The notes, sorted. Raises DataError naming data.roam.path when there are none."""
    return files.find(folder(root, settings), SUFFIXES, "data.roam.path")


def documents(notes: list[Path]) -> Iterator[Document]:
    """A document a note, but for blank ones; bytes that are not UTF-8 become U+FFFD.

    Raises DataError when all are blank.
    """
    empty = True
    for note in notes:
        for document in files.whole(note, "replace"):
            empty = False
            yield document
    if empty:
        raise DataError(f"{notes[0].parent} holds only empty notes; write some, or leave roam out")
