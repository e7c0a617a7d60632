"""Files that appear whole or not at all, seals, and fingerprints."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from nielsgpt.errors import DataError, NielsError, RunError

SEAL = "seal"
# What file systems over a network or of another system answer where they lack an operation.
UNSUPPORTED = {
    *(errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EBADF),
}


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
    """The value of a JSON file, or None if there is none. Raises DataError if it is broken, or
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
    """Wait until the written data is on disk."""
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
