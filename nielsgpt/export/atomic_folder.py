"""A folder that appears whole, or not at all, and never in the place of what is not its like."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nielsgpt.errors import DataError
from nielsgpt.system.workspace import explain_unwritable, lock, name_beside, sync_file, sync_folder


def check_place(path: Path, name: str, held: str | None, is_export: bool, force: bool) -> None:
    """Raise DataError where an export to `path` would replace something that it must not.

    `held` is the name of the model that lies there. What is no export is not replaced at all.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not is_export:
        raise DataError(f"{path} is there and is no export of nielsgpt; choose another --out")
    if held != name and not force:
        raise DataError(
            f"{path} holds an export of {held}, and this is {name}; choose another --out, or "
            "replace it with --force"
        )


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path` that takes its place when the block ends without an error.

    Raises BusyError while another process writes there, RunError or DataError where the disk is
    full or may not be written.
    """
    beside = path.with_name(f".{path.name}.part")
    with lock(beside):
        try:
            for leftover in beside.iterdir():
                _remove(leftover, but=".lock")
            yield beside
            (beside / ".lock").unlink()
            _swap(beside, path)
        except OSError as error:
            raise explain_unwritable(path, error) from error
        finally:
            if beside.exists():
                shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A name beside `path` to write a file at, renamed to it when the block ends without an error.

    Raises RunError or DataError where the disk is full or may not be written.
    """
    with name_beside(path) as name:
        yield name
        sync_file(name)
        name.replace(path)
        sync_folder(path.parent)


def _swap(beside: Path, path: Path) -> None:
    sync_folder(beside)
    before = path.with_name(f".{path.name}.old")
    _remove(before)
    if path.exists():
        path.rename(before)
    beside.rename(path)
    sync_folder(path.parent)
    _remove(before)


def _remove(path: Path, but: str = "") -> None:
    if path.name == but:
        return
    away: Callable[[Path], object] = shutil.rmtree if path.is_dir() else Path.unlink
    if path.exists():
        away(path)
