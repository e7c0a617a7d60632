"""The command line run in this process, as a terminal would see it, and what a mistake is."""

import io
import logging
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from cli.main import _Stderr, main

Files = dict[str, str | bytes]
PROGRESS = ("tokenizer: ", "caches: ", "source ", "config ")  # lines of work, not of the mistake


@dataclass(frozen=True)
class Mistake:
    """A command line, the files that lie there, and the words that the error is to hold.

    `stays`: the folders in which the command may leave what it had finished before the mistake was
    met. `damage`: what happens to the folder of a trained model before.
    """

    words: str
    says: tuple[str, ...]
    files: Files = field(default_factory=dict)
    code: int = 2
    typed: bytes = b""
    stays: tuple[str, ...] = ()
    damage: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Ran:
    """How a command ended: its exit code, its output, and the lines of its standard error."""

    code: int
    out: str
    lines: list[str]


def run(words: str, typed: bytes = b"") -> Ran:
    """`nielsgpt words` in the current folder, with `typed` as its standard input."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    given, code = io.TextIOWrapper(io.BytesIO(typed), "utf-8"), 0
    with mock.patch.multiple(sys, stdin=given, stdout=out, stderr=err), _logged(words):
        try:
            main(shlex.split(words))
        except SystemExit as end:
            code = int(end.code or 0)
        texts = []
        for stream in (out, err):
            stream.flush()
            texts.append(stream.buffer.getvalue().decode("utf-8"))  # type: ignore[attr-defined]
    return Ran(code, texts[0], texts[1].splitlines())


@contextmanager
def _logged(words: str) -> Iterator[None]:
    """The log as outside of tests, where nothing else listens to it."""
    log, handler = logging.getLogger("nielsgpt"), _Stderr(shlex.split(words))
    before = log.propagate, log.level
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = before[0]
        log.setLevel(before[1])


def listing(folder: Path) -> dict[str, bytes]:
    """Every name below the folder, with a file's bytes, or for a link where it leads."""
    return {path.relative_to(folder).as_posix(): _content(path) for path in folder.rglob("*")}


def _content(path: Path) -> bytes:
    if path.is_symlink():
        return str(path.readlink()).encode()
    return path.read_bytes() if path.is_file() else b"a folder"


def put(folder: Path, files: Files) -> None:
    """Write the files below the folder; a name that ends in / is an empty folder, and the content
    `-> place` a link to it."""
    for name, content in files.items():
        path = folder / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and content.startswith("-> "):
            path.symlink_to(content[3:])
        elif not name.endswith("/"):
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
