"""Your own notes: every .md file below a folder is a document."""

from collections.abc import Iterator
from pathlib import Path

from nielsgpt.config.source_settings import RoamSettings
from nielsgpt.conversation import Document
from nielsgpt.data.sources import files
from nielsgpt.errors import DataError

OLDER_PATH = ".roam-data"


def find(root: Path, settings: RoamSettings) -> list[Path]:
    """The notes, sorted. Where the default folder is missing, those of the older `.roam-data`.

    Raises DataError naming data.roam.path when there are none.
    """
    folder = root / settings.path
    if settings == RoamSettings() and not folder.exists() and (root / OLDER_PATH).exists():
        folder = root / OLDER_PATH
    return files.find(folder, (".md",), "data.roam.path")


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
