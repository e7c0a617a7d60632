"""A folder held by one process; whoever takes it removes what killed processes left there."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import psutil

from nielsgpt.errors import BusyError
from nielsgpt.system.atomic_files import UNSUPPORTED, explain_unwritable


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the folder for this process alone; the lock dies with its process.

    Where the file system has no locks, a file that names the holder stands for one. Raises
    BusyError naming the process that holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a+b", buffering=0)
    except OSError as error:
        raise explain_unwritable(folder, error) from error
    with file, ExitStack() as held:
        try:
            held.enter_context(hold(file, folder / ".lock-holder", fcntl.LOCK_EX | fcntl.LOCK_NB))
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise _busy(folder, file) from None
            raise explain_unwritable(folder / ".lock", error) from error
        _sweep(folder)
        try:
            file.truncate(0)
            file.write(b"%d\n" % os.getpid())
        except OSError as error:
            raise explain_unwritable(folder / ".lock", error) from error
        yield


@contextmanager
def hold(file: IO[bytes], holder: Path, operation: int) -> Iterator[None]:
    """Hold an open file by flock or, where the file system has no locks, a file beside it.

    Raises the OSError of flock where another process holds the file, BusyError in the second case.
    """
    try:
        fcntl.flock(file, operation)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        with _hold_by_name(holder):
            yield
    else:
        yield


def _busy(folder: Path, file: IO[bytes]) -> BusyError:
    file.seek(0)
    holder = file.read().decode("utf-8", "replace").strip() or "?"
    return BusyError(
        f"{folder} is in use by process {holder}; wait for it to end, or give this "
        "run another name with --set name=NAME"
    )


@contextmanager
def _hold_by_name(path: Path) -> Iterator[None]:
    """A file made exclusively, with host and process; one of a dead process here is replaced."""
    host = socket.gethostname()
    while True:
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            break
        except FileExistsError:
            try:
                owner, _, process = path.read_text(encoding="utf-8").strip().rpartition(" ")
            except FileNotFoundError:  # its holder has just ended
                continue
            if owner == host and process.isdecimal() and not psutil.pid_exists(int(process)):
                path.unlink(missing_ok=True)
                continue
            raise BusyError(
                f"{path.parent} is in use by process {process} on {owner or 'another machine'}; "
                f"wait for it to end, or remove {path} if it has ended"
            ) from None
        except OSError as error:
            raise explain_unwritable(path, error) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{host} {os.getpid()}\n")
        yield
    finally:
        path.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half-written; only the holder of the lock may."""
    for leftover in folder.rglob(".*.tmp-*"):
        leftover.unlink(missing_ok=True)
