"""Atomic creation of an export's folder or file, which never replaces anything but an export."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nielsgpt.errors import DataError
from nielsgpt.system.atomic_files import explain_unwritable, name_beside, sync_file, sync_folder
from nielsgpt.system.folder_lock import lock


def check_replaceable(
    path: Path, name: str, existing: str | None, is_export: bool, force: bool
) -> None:
    """Raise DataError if an export of model `name` must not replace what is at `path`.

    `existing` is the name of the model exported there. Only an export is ever replaced.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not is_export:
        raise DataError(f"{path} exists and is not an export of nielsgpt; choose another --out")
    if existing != name and not force:
        raise DataError(
            f"{path} is an export of {existing}, and this is {name}; choose another --out, or "
            "replace it with --force"
        )


@contextmanager
def create_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` that replaces it when the block ends without an error.

    Raises BusyError while another process writes there, RunError or DataError if the disk is full
    or read-only.
    """
    partial = path.with_name(f".{path.name}.part")
    with lock(partial):
        try:
            for leftover in partial.iterdir():
                if leftover.name != ".lock":
                    _remove(leftover)
            yield partial
            (partial / ".lock").unlink()
            _replace(path, partial)
        except OSError as error:
            raise explain_unwritable(path, error) from error
        finally:
            if partial.exists():
                shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def create_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to, renamed when the block ends without an error.

    Raises RunError or DataError if the disk is full or read-only.
    """
    with name_beside(path) as partial:
        yield partial
        sync_file(partial)
        partial.replace(path)
        sync_folder(path.parent)


def _replace(path: Path, partial: Path) -> None:
    sync_folder(partial)
    previous = path.with_name(f".{path.name}.old")
    _remove(previous)
    if path.exists():
        path.rename(previous)
    partial.rename(path)
    sync_folder(path.parent)
    _remove(previous)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
