"""A file that is appended to, survives its process, and gets its name when it is complete."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from nielsgpt.errors import DataError
from nielsgpt.system.workspace import explain_unwritable

PIECE = 2**20


class AppendFile:
    """A hidden file beside its place, its length, and the sha256 of what was written so far.

    With a `length`, what an earlier process wrote is kept up to there and the rest cut off; raises
    DataError where the file holds less. Raises RunError naming `path` when the disk is full.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        self.path, self.hidden, self.length = path, hidden(path), length
        self._sha256 = hashlib.sha256()
        if length and (not self.hidden.is_file() or self.hidden.stat().st_size < length):
            raise DataError(f"{self.hidden} is not as its build left it")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.hidden.open("r+b" if length else "w+b")
            self._read(length)
            self._file.truncate(length)
            self._file.seek(length)
        except OSError as error:
            raise explain_unwritable(path, error) from error

    def write(self, content: bytes) -> None:
        """Append."""
        try:
            self._file.write(content)
        except OSError as error:
            raise explain_unwritable(self.path, error) from error
        self._sha256.update(content)
        self.length += len(content)

    def write_start(self, content: bytes) -> None:
        """Replace the first bytes."""
        try:
            self._file.seek(0)
            self._file.write(content)
            self._file.seek(0)
            self._sha256 = hashlib.sha256()
            self._read(self.length)
        except OSError as error:
            raise explain_unwritable(self.path, error) from error

    def sync(self) -> None:
        """Let what was written survive a power loss."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise explain_unwritable(self.path, error) from error

    def close(self) -> dict[str, Any]:
        """Close the file for good; returns its size and its sha256."""
        try:
            self.sync()
        finally:
            self.abandon()
        return {"bytes": self.length, "sha256": self._sha256.hexdigest()}

    def abandon(self) -> None:
        """Close it whatever comes; the file stays."""
        with suppress(OSError):  # what could not be written is said already
            self._file.close()

    def _read(self, length: int) -> None:
        while length > 0:
            piece = self._file.read(min(PIECE, length))
            self._sha256.update(piece)
            length -= len(piece)


def hidden(path: Path) -> Path:
    """Where the file of this name grows. The sweep of a folder's lock leaves it alone."""
    return path.with_name(f".{path.name}.part")
