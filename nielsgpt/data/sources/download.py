"""Download a file once, completely or not at all, resuming interrupted downloads.

alice.txt.part         the bytes so far; locked by the downloading process
alice.txt.part.json    the URL and version (ETag or Last-Modified)
alice.txt.part-holder  the downloading process, where the file system has no locks
"""

import contextlib
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import requests

from nielsgpt.data.sources.http import (
    CHUNK_BYTES,
    RetryPolicy,
    UnusableResponse,
    check_allowed,
    describe_error,
    open_session,
)
from nielsgpt.errors import DataError
from nielsgpt.system.atomic_files import explain_unwritable, read_json, sync_folder, write_json
from nielsgpt.system.folder_lock import hold

log = logging.getLogger("nielsgpt")
LIMIT_BYTES = 64 * 2**20


class _Interrupted(Exception):
    """The response ended early; the rest can be requested."""


@dataclass(frozen=True)
class _Target:
    """A URL, its local path and a size limit."""

    url: str
    path: Path
    limit_bytes: int

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part.json")


def download(
    url: str,
    path: Path,
    *,
    policy: RetryPolicy,
    remedy: str = "",
    sha256: str | None = None,
    limit_bytes: int = LIMIT_BYTES,
) -> None:
    """Download the URL to `path`, unless that exists.

    Retries busy servers. An interrupted download is resumed, by this call or a later one, if the
    file has not changed. Raises DataError with the URL, the reason and `remedy`, by default the
    path for a copy.
    """
    if path.exists():
        return
    remedy = remedy or f"put a copy at {path}"
    check_allowed(url, remedy)
    target = _Target(url, path, limit_bytes)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock_part(path) as part, open_session(policy) as http:
            if not path.exists():
                _fill(part, http, target, policy)
                _check_sha256(part, sha256)
                os.fsync(part.fileno())
                Path(part.name).replace(path)
            for leftover in (target.note, Path(part.name)):
                leftover.unlink(missing_ok=True)
            sync_folder(path.parent)
    except (UnusableResponse, _Interrupted, requests.RequestException) as error:
        raise DataError(f"{url} cannot be downloaded ({describe_error(error)}); {remedy}") from None
    except OSError as error:
        raise explain_unwritable(path, error) from error


@contextlib.contextmanager
def _lock_part(path: Path) -> Iterator[IO[bytes]]:
    """Open and lock the .part file; waits for another process that downloads the same file."""
    part, holder = (path.with_name(f"{path.name}.{kind}") for kind in ("part", "part-holder"))
    while True:
        with part.open("a+b") as file, hold(file, holder, fcntl.LOCK_EX):
            # While this waited, the file may have been renamed or removed.
            is_current = False
            with contextlib.suppress(FileNotFoundError):
                is_current = os.path.samestat(os.fstat(file.fileno()), part.stat())
            if is_current:
                yield file
                return


def _fill(part: IO[bytes], http: requests.Session, target: _Target, policy: RetryPolicy) -> None:
    """Request until the .part is complete, or `tries` responses in a row added nothing."""
    failures = largest = 0
    while True:
        try:
            return _receive(part, http, target)
        except _Interrupted as error:
            part.flush()
            received = part.seek(0, os.SEEK_END)
            failures, largest = (1, received) if received > largest else (failures + 1, largest)
            if failures >= policy.tries:
                raise
            log.info("%s: %s; trying again", target.url, describe_error(error))
            policy.pause(failures)


def _receive(part: IO[bytes], http: requests.Session, target: _Target) -> None:
    """Request the missing bytes and write them as they arrive."""
    saved = read_json(target.note) or {}
    is_same = saved.get("url") == target.url and saved.get("version")
    offset = part.seek(0, os.SEEK_END) if is_same else 0
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": saved["version"]}
    with http.get(target.url, headers=headers, stream=True) as response:
        if not (offset and _can_resume(response, offset, saved["version"])):
            part.truncate(0)
            offset = 0
            if response.status_code in (206, 416):
                target.note.unlink(missing_ok=True)
                raise _Interrupted("it changed on the server and is downloaded from the start")
        response.raise_for_status()
        total = _check_length(response, offset, target.limit_bytes)
        write_json(target.note, {"url": target.url, "version": _version(response)})
        _write_body(part, response, offset, total, target)


def _can_resume(response: requests.Response, offset: int, version: str) -> bool:
    """Whether the response is the rest of the bytes so far."""
    from_there = response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
    return response.status_code == 206 and from_there and _version(response) in (None, version)


def _version(response: requests.Response) -> str | None:
    """The version of the file for If-Range, which does not accept weak ETags."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def _check_length(response: requests.Response, offset: int, limit_bytes: int) -> int | None:
    """The size of the whole file, if known. Raises UnusableResponse for HTML or large files."""
    packed = response.headers.get("Content-Encoding", "identity")
    if packed != "identity":
        raise UnusableResponse(f"it is encoded as {packed}")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise UnusableResponse("a web page instead of a text")
    length = response.headers.get("Content-Length", "")
    total = offset + int(length) if length.isdecimal() else None
    if total is not None and total > limit_bytes:
        raise UnusableResponse(f"{total:,} bytes, more than the limit of {limit_bytes:,}")
    return total


def _write_body(
    part: IO[bytes], response: requests.Response, offset: int, total: int | None, target: _Target
) -> None:
    done = offset
    for piece in _chunks(response):
        done += len(piece)
        if done > target.limit_bytes:
            part.truncate(0)
            raise UnusableResponse(f"more than the {target.limit_bytes:,} bytes allowed")
        part.write(piece)
    part.flush()
    # urllib3 checks this itself from version 2 on.
    if total is not None and done != total:
        raise _Interrupted(f"{done:,} of {total:,} bytes arrived")


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """The body. Raises _Interrupted if it ends early or stalls."""
    try:
        yield from response.iter_content(CHUNK_BYTES)
    except requests.RequestException as error:
        raise _Interrupted(describe_error(error)) from None


def _check_sha256(part: IO[bytes], sha256: str | None) -> None:
    """Raises UnusableResponse and discards the file if its sha256 differs."""
    part.seek(0)
    found = hashlib.file_digest(part, "sha256").hexdigest()  # type: ignore[arg-type]
    if sha256 is not None and found != sha256:
        part.truncate(0)
        raise UnusableResponse(f"its sha256 is {found}, not {sha256}")
    log.info("%s: sha256 %s", part.name.removesuffix(".part"), found)
