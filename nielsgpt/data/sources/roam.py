"""The user's notes: every .md file below a folder is a document."""

from collections.abc import Iterator
from pathlib import Path

from nielsgpt.config.source_settings import RoamSettings
from nielsgpt.conversation import Document
from nielsgpt.data.sources import files
from nielsgpt.errors import DataError

OLDER_PATH = ".roam-data"
SUFFIXES = (".md",)


def find_folder(root: Path, settings: RoamSettings) -> Path:
    """The folder of the notes; `.roam-data` if the default folder is missing."""
    chosen = root / settings.path
    older = root / OLDER_PATH
    is_older = settings == RoamSettings() and not chosen.exists() and older.exists()
    return older if is_older else chosen


def find_notes(root: Path, settings: RoamSettings) -> list[Path]:
    """The notes, sorted. Raises DataError naming data.roam.path if there are none."""
    return files.find_files(find_folder(root, settings), SUFFIXES, "data.roam.path")


def read_notes(notes: list[Path]) -> Iterator[Document]:
    """One document per non-blank note; bytes that are not UTF-8 become U+FFFD.

    Raises DataError if all are blank.
    """
    empty = True
    for note in notes:
        for document in files.read_document(note, "replace"):
            empty = False
            yield document
    if empty:
        raise DataError(f"{notes[0].parent} has only empty notes; write some, or leave roam out")
