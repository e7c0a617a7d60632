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
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in UNSUPPORTED:
                held.enter_context(_hold_by_name(folder))
            elif error.errno not in (errno.EAGAIN, errno.EACCES):
                raise explain_unwritable(folder / ".lock", error) from error
            else:
                raise _busy(folder, file) from None
        _sweep(folder)
        try:
            file.truncate(0)
            file.write(b"%d\n" % os.getpid())
        except OSError as error:
            raise explain_unwritable(folder / ".lock", error) from error
        yield


def _busy(folder: Path, file: IO[bytes]) -> BusyError:
    file.seek(0)
    holder = file.read().decode("utf-8", "replace").strip() or "?"
    return BusyError(
        f"{folder} is in use by process {holder}; wait for it to end, or give this "
        "run another name with --set name=NAME"
    )


@contextmanager
def _hold_by_name(folder: Path) -> Iterator[None]:
    """A file made exclusively, with host and process; one of a dead process here is replaced."""
    path, host = folder / ".lock-holder", socket.gethostname()
    while True:
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            break
        except FileExistsError:
            owner, _, process = path.read_text(encoding="utf-8").strip().rpartition(" ")
            if owner == host and process.isdecimal() and not psutil.pid_exists(int(process)):
                path.unlink(missing_ok=True)
                continue
            raise BusyError(
                f"{folder} is in use by process {process} on {owner or 'another machine'}; wait "
                f"for it to end, or remove {path} if it has ended"
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
