"""Where each artifact lives on disk, the fingerprint that names it, and how it is written.

data/tokenizers/<name>/        the tokenizer
data/cache/<name>/streams|sft/ token ids
checkpoints/<name>/pretrain|sft/{latest,best,step_0000500}.pt
checkpoints/<name>/{latest,best}.pt
runs/<run_id>/                 metrics.csv, run_meta.json, resolved_settings.json
"""

import errno
import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psutil

from nielsgpt.config.settings import Phase, Settings
from nielsgpt.errors import BusyError, DataError, NielsError, RunError

REPOSITORY = Path(__file__).resolve().parents[2]
SEAL = "seal"
# What file systems over a network or of another system answer where they lack an operation.
UNSUPPORTED = {
    *(errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EBADF),
}


@dataclass(frozen=True)
class Workspace:
    """The folders of one model under one root."""

    root: Path
    settings: Settings

    @property
    def tokenizer(self) -> Path:
        """The folder of the trained tokenizer."""
        return self.root / "data" / "tokenizers" / self.settings.name

    @property
    def cache(self) -> Path:
        """The folder of token streams and SFT rows."""
        chosen = self.settings.data.cache_dir
        return self.root / (chosen or f"data/cache/{self.settings.name}")

    def splits(self, phase: Phase) -> Path:
        """The folder of one phase's cached splits."""
        return self.cache / {"pretrain": "streams", "sft": "sft"}[phase]

    @property
    def checkpoints(self) -> Path:
        """The folder of everything trained under this name."""
        return self.root / "checkpoints" / self.settings.name

    @property
    def runs(self) -> Path:
        """The folder of all runs' records."""
        return self.root / "runs"


def fingerprint(*parts: Any) -> str:
    """Sixteen hex digits of the sha256 of the parts as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def name_beside(path: Path) -> Iterator[Path]:
    """A name beside `path` to write a file at; the file is gone at the end if it was not renamed.

    Raises RunError or DataError naming the place when the disk is full or may not be written.
    """
    name = path.parent / f".{path.name}.tmp-{os.getpid()}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield name
    except OSError as error:
        raise explain_unwritable(path, error) from error
    finally:
        with suppress(OSError):
            name.unlink()


@contextmanager
def write_atomically(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears at `path` whole, or not at all.

    Written, fsynced, renamed, and its folder fsynced. Raises as `name_beside` does.
    """
    with name_beside(path) as name:
        with name.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        name.replace(path)
        sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; what is no text, as in some names of files, is escaped."""
    with write_atomically(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically: sorted keys, two spaces, one newline at the end."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """The same with a checksum of its own, by which `read_json` knows that no byte was changed."""
    write_json(path, seal(value))


def read_json(path: Path) -> Any:
    """The value of a JSON file, or None where there is none. Raises DataError if it is broken, or
    sealed and not what was sealed."""
    try:
        return unseal(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is damaged ({error}); delete it and run the command again"
        ) from None


def seal(value: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with a checksum of the rest under the key "seal"."""
    plain = json.loads(json.dumps(dict(value)))
    return {**plain, SEAL: fingerprint(plain)}


def unseal(value: Any) -> Any:
    """The value without its seal, where it has one. Raises ValueError where that is not its own."""
    if isinstance(value, dict) and SEAL in value:
        found = value.pop(SEAL)
        if found != fingerprint(value):
            raise ValueError("its seal is not that of what it says")
    return value


def remove_meta(path: Path) -> None:
    """Remove, for good, the file by which others exist, before anything is done to these."""
    if path.exists():
        path.unlink()
        sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Wait until what was written to the file lies on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power loss, where the file system can do that."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(handle)


def set_aside(path: Path) -> Path:
    """Give a folder or a file a dated name beside it; nothing that was trained is ever deleted."""
    suffix = path.suffix if path.is_file() else ""
    dated = f"{path.name.removesuffix(suffix)}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    target, number = path.with_name(dated + suffix), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{dated}-{number}{suffix}")
    return path.rename(target)


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


def explain_unwritable(path: Path, error: OSError) -> NielsError:
    """The error for a full disk or a folder that may not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = os.statvfs(path.parent if path.parent.exists() else Path())
        left = free.f_bavail * free.f_frsize // 2**20
        return RunError(
            f"no space left to write {path} ({left} MiB free); what was saved before is intact: "
            "free some space and run the same command again"
        )
    return DataError(
        f"{path} cannot be written ({error.strerror}); make its folder writable, "
        "or work in another one by setting NIELSGPT_ROOT"
    )
