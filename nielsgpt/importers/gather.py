"""The files of what a person named: folders walked, archives unpacked into a scratch folder."""

import os
import re
import stat
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from nielsgpt.errors import DataError
from nielsgpt.importers.content import Unreadable

MOST_FILES = 50_000
BLOCK_BYTES = 2**20
TOO_LARGE = "it unpacks to more than there is room for"
MOST_DEPTH = 3  # archives within archives
IGNORED = frozenset(("__MACOSX", "thumbs.db", "desktop.ini"))


@dataclass(frozen=True)
class InputFile:
    """A file to read: where its bytes lie, and the name by which a person knows it."""

    path: Path
    name: str

    @property
    def suffix(self) -> str:
        """The end of its name, in lower case."""
        return self.path.suffix.lower()


def walk(path: Path, name: str, apart: Collection[Path] = ()) -> Iterator[InputFile]:
    """The file, or those below the folder in order; no hidden ones, no links, nothing `apart`."""
    if path.is_file():
        yield InputFile(path, name)
        return
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        folders[:] = sorted(
            each
            for each in folders
            if _is_wanted(each) and not (here / each).is_symlink() and here / each not in apart
        )
        for file in sorted(filter(_is_wanted, files)):
            inner = here / file
            if stat.S_ISREG(inner.lstat().st_mode):
                yield InputFile(inner, f"{name}/{inner.relative_to(path).as_posix()}")


def name_input(paths: Collection[Path], apart: Collection[Path]) -> Iterator[InputFile]:
    """The files of the paths that a person gave. Raises DataError where one is not there."""
    for path in paths:
        if not path.exists():
            raise DataError(f"{path} is not there; name an existing file or folder")
    for path in paths:
        yield from walk(path.resolve(), str(path.resolve()), apart)


def unpack(path: str, folder: str, most_bytes: int) -> dict[str, Any]:
    """Unpack a ZIP archive into the folder; returns how many bytes, and what was left out.

    No name leads out of the folder, no link is made. Raises Unreadable beyond the bounds.
    """
    left_out: dict[str, int] = {}
    unpacked = 0
    try:
        with zipfile.ZipFile(path) as archive:
            items = archive.infolist()
            if len(items) > MOST_FILES:
                raise Unreadable(f"it holds more than {MOST_FILES:,} files")
            if sum(item.file_size for item in items) > most_bytes:
                raise Unreadable(TOO_LARGE)
            for item in items:
                target = place_of(item, Path(folder))
                if target is None or item.is_dir():
                    reason = "names that lead out of the archive, links and hidden files"
                    left_out[reason] = left_out.get(reason, 0) + (not item.is_dir())
                elif item.flag_bits & 1:
                    raise Unreadable("it needs a password")
                else:
                    unpacked += _unpack_item(archive, item, target, most_bytes - unpacked)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError):
        raise Unreadable("it is damaged") from None
    return {"bytes": unpacked, "left_out": {name: n for name, n in left_out.items() if n}}


def place_of(item: zipfile.ZipInfo, folder: Path) -> Path | None:
    """Where a part of an archive goes below the folder; None for one that is not to be unpacked."""
    name = item.filename.replace("\\", "/")
    parts = [part for part in PurePosixPath(name).parts if part != "."]
    is_unsafe = name.startswith("/") or ".." in parts or bool(re.match(r"[A-Za-z]:", name))
    if is_unsafe or not parts or stat.S_ISLNK(item.external_attr >> 16):
        return None
    if not all(map(_is_wanted, parts)):
        return None
    return folder.joinpath(*(re.sub(r'[\x00-\x1f:*?"<>|]', "_", part)[-120:] for part in parts))


def _unpack_item(archive: zipfile.ZipFile, item: zipfile.ZipInfo, target: Path, room: int) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with archive.open(item) as source, target.open("xb") as file:
        while block := source.read(BLOCK_BYTES):
            size += len(block)
            if size > room:
                raise Unreadable(TOO_LARGE)
            file.write(block)
    return size


def _is_wanted(name: str) -> bool:
    return not name.startswith((".", "~$")) and name not in IGNORED and name.lower() not in IGNORED
