"""An append-only file that outlives a killed process and gets its final name when complete."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from nielsgpt.errors import DataError
from nielsgpt.system.atomic_files import explain_unwritable

READ_BYTES = 2**20


class AppendFile:
    """A hidden file next to its final path, with its length and a running sha256.

    With a `length`, keeps that many bytes from an earlier process and truncates the rest; raises
    DataError if the file is shorter. Raises RunError naming `path` when the disk is full.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        self.path = path
        self.part = part_path(path)
        self.length = length
        self._sha256 = hashlib.sha256()
        if length and (not self.part.is_file() or self.part.stat().st_size < length):
            raise DataError(f"{self.part} is shorter than when it was built")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.part.open("r+b" if length else "w+b")
            self._read(length)
            self._file.truncate(length)
            self._file.seek(length)
        except OSError as error:
            raise explain_unwritable(path, error) from error

    def write(self, content: bytes) -> None:
        """Append the content."""
        try:
            self._file.write(content)
        except OSError as error:
            raise explain_unwritable(self.path, error) from error
        self._sha256.update(content)
        self.length += len(content)

    def write_start(self, content: bytes) -> None:
        """Overwrite the first bytes."""
        try:
            self._file.seek(0)
            self._file.write(content)
            self._file.seek(0)
            self._sha256 = hashlib.sha256()
            self._read(self.length)
        except OSError as error:
            raise explain_unwritable(self.path, error) from error

    def sync(self) -> None:
        """Flush to disk, so that the content survives a power loss."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise explain_unwritable(self.path, error) from error

    def close(self) -> dict[str, Any]:
        """Sync and close the file; returns its size and sha256."""
        try:
            self.sync()
        finally:
            self.abandon()
        return {"bytes": self.length, "sha256": self._sha256.hexdigest()}

    def abandon(self) -> None:
        """Close the file, ignoring errors; it stays on disk."""
        with suppress(OSError):  # write errors were raised before
            self._file.close()

    def _read(self, length: int) -> None:
        while length > 0:
            chunk = self._file.read(min(READ_BYTES, length))
            self._sha256.update(chunk)
            length -= len(chunk)


def part_path(path: Path) -> Path:
    """The hidden path of an unfinished file. Locking a folder does not clean it up."""
    return path.with_name(f".{path.name}.part")
