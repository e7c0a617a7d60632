"""A text file from the network: fetched once, whole or not at all, resumed where it broke off.

alice.txt.part         what has come so far; locked by the process that fetches it
alice.txt.part.json    its address and version (ETag, or the time of its last change)
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

from nielsgpt.data.sources.http import PIECE_BYTES, HTTPRefusal, Patience, may_ask, reason, session
from nielsgpt.errors import DataError
from nielsgpt.system.workspace import explain_unwritable, read_json, sync_folder, write_json

log = logging.getLogger("nielsgpt")
LIMIT_BYTES = 64 * 2**20


class _BrokeOff(Exception):
    """The answer ended too soon; what is missing can be asked for."""


@dataclass(frozen=True)
class _Wanted:
    """A file, and how much of it anyone wants."""

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
    patience: Patience,
    instead: str = "",
    sha256: str | None = None,
    limit_bytes: int = LIMIT_BYTES,
) -> None:
    """Put what the address holds at `path`, unless something is there already.

    A busy server is asked again when it says so; a body that breaks off is resumed, here or by the
    next command, if it is still the same file. Raises DataError naming the address, the reason and
    where a copy goes, or `instead`.
    """
    if path.exists():
        return
    instead = instead or f"put a copy at {path}"
    may_ask(url, instead)
    wanted = _Wanted(url, path, limit_bytes)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _held(path) as part, session(patience) as asking:
            if not path.exists():
                _fill(part, asking, wanted, patience)
                _verify(part, sha256)
                os.fsync(part.fileno())
                Path(part.name).replace(path)
            for leftover in (wanted.note, Path(part.name)):
                leftover.unlink(missing_ok=True)
            sync_folder(path.parent)
    except (HTTPRefusal, _BrokeOff, requests.RequestException) as error:
        raise DataError(f"{url} cannot be downloaded ({reason(error)}); {instead}") from None
    except OSError as error:
        raise explain_unwritable(path, error) from error


def _held(path: Path) -> IO[bytes]:
    """The file's .part, open and locked; waits for another process that fetches the same."""
    part = path.with_name(f"{path.name}.part")
    while True:
        file = part.open("a+b")
        fcntl.flock(file, fcntl.LOCK_EX)
        # Renamed or removed while this waited, it is the .part no more.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), part.stat()):
                return file
        file.close()


def _fill(part: IO[bytes], asking: requests.Session, wanted: _Wanted, patience: Patience) -> None:
    """Ask until the .part is whole, or until `tries` answers in a row brought nothing more."""
    failures = most = 0
    while True:
        try:
            return _receive(part, asking, wanted)
        except _BrokeOff as error:
            part.flush()
            came = part.seek(0, os.SEEK_END)
            failures, most = (1, came) if came > most else (failures + 1, most)
            if failures >= patience.tries:
                raise
            log.info("%s: %s; trying again", wanted.url, reason(error))
            patience.pause(failures)


def _receive(part: IO[bytes], asking: requests.Session, wanted: _Wanted) -> None:
    """One request for what is missing, written as it comes."""
    known = read_json(wanted.note) or {}
    same = known.get("url") == wanted.url and known.get("version")
    begun = part.seek(0, os.SEEK_END) if same else 0
    asked = {"Accept-Encoding": "identity"}
    if begun:
        asked |= {"Range": f"bytes={begun}-", "If-Range": known["version"]}
    with asking.get(wanted.url, headers=asked, stream=True) as answer:
        if not (begun and _can_resume(answer, begun, known["version"])):
            part.truncate(0)
            begun = 0
            if answer.status_code in (206, 416):
                wanted.note.unlink(missing_ok=True)
                raise _BrokeOff("it changed meanwhile and is fetched anew")
        answer.raise_for_status()
        total = _total(answer, begun, wanted.limit_bytes)
        write_json(wanted.note, {"url": wanted.url, "version": _version(answer)})
        _write(part, answer, begun, total, wanted)


def _can_resume(answer: requests.Response, begun: int, version: str) -> bool:
    """Whether this is the rest of what has come."""
    from_there = answer.headers.get("Content-Range", "").startswith(f"bytes {begun}-")
    return answer.status_code == 206 and from_there and _version(answer) in (None, version)


def _version(answer: requests.Response) -> str | None:
    """What names this version of the file, for If-Range, which takes no weak ETag."""
    tag = answer.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def _total(answer: requests.Response, begun: int, limit_bytes: int) -> int | None:
    """Bytes of the whole file, where the server says so. Raises Refusal for what nobody wants."""
    packed = answer.headers.get("Content-Encoding", "identity")
    if packed != "identity":
        raise HTTPRefusal(f"it comes packed as {packed}")
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise HTTPRefusal("a web page came instead of a text")
    length = answer.headers.get("Content-Length", "")
    total = begun + int(length) if length.isdecimal() else None
    if total is not None and total > limit_bytes:
        raise HTTPRefusal(f"{total:,} bytes, more than the {limit_bytes:,} allowed")
    return total


def _write(
    part: IO[bytes], answer: requests.Response, begun: int, total: int | None, wanted: _Wanted
) -> None:
    done = begun
    for piece in _pieces(answer):
        done += len(piece)
        if done > wanted.limit_bytes:
            part.truncate(0)
            raise HTTPRefusal(f"more than the {wanted.limit_bytes:,} bytes allowed")
        part.write(piece)
    part.flush()
    # urllib3 says so itself from version 2 on.
    if total is not None and done != total:
        raise _BrokeOff(f"{done:,} of {total:,} bytes came")


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    """The body. Raises _BrokeOff where it ends too soon or stands still."""
    try:
        yield from answer.iter_content(PIECE_BYTES)
    except requests.RequestException as error:
        raise _BrokeOff(reason(error)) from None


def _verify(part: IO[bytes], sha256: str | None) -> None:
    """Raises Refusal, and forgets what came, when it is not what was promised."""
    part.seek(0)
    found = hashlib.file_digest(part, "sha256").hexdigest()  # type: ignore[arg-type]
    if sha256 is not None and found != sha256:
        part.truncate(0)
        raise HTTPRefusal(f"its sha256 is {found}, not {sha256}")
    log.info("%s: sha256 %s", part.name.removesuffix(".part"), found)
