"""Your own files: .txt and .md for pretraining, .jsonl conversations for SFT.

A chat line is a list of {"role", "content"} objects, or another shape that `schemas` knows.
Files are read block by block, so a file may be larger than the memory; only a text that is one
document by itself is held whole.
"""

import codecs
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from nielsgpt.config.source_settings import TextSettings
from nielsgpt.conversation import SPECIAL_TEXTS, Conversation, Document
from nielsgpt.data.sources import schemas
from nielsgpt.data.sources.plaintext import plain
from nielsgpt.errors import DataError

TEXT_SUFFIXES = (".txt", ".md")
CHAT_SUFFIXES = (".jsonl", ".json")
WHOLE_FILES_FROM = 20
FEWEST_CHUNKS = 50
BLOCK_BYTES = 2**20
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
HIDDEN = ("__MACOSX", "Thumbs.db")
HIDDEN_STARTS = (".", "~$")
LONGEST_SPECIAL = max(map(len, SPECIAL_TEXTS))
Stamp = list[str | int]


def find(path: Path, suffixes: tuple[str, ...], setting: str) -> list[Path]:
    """The file itself, or every file below the folder with one of the suffixes, sorted, but for
    hidden ones.

    Raises DataError naming the setting when there is none.
    """
    if path.is_file():
        return [path]
    below = _below(path, suffixes)
    found = [file for file in below if not is_hidden(file.relative_to(path))]
    if not found and below:
        raise DataError(
            f"{path} holds only hidden files, such as {below[0].relative_to(path)}, which are not "
            f"read; put your files there, or name one file in {setting}"
        )
    if not found:
        what = "holds no " + " or ".join(suffixes) if path.is_dir() else "is not there"
        raise DataError(f"{path} {what}; put your files there or set {setting}")
    return found


def is_hidden(path: Path) -> bool:
    """Whether a part of the path names what programs keep for themselves: `.git`, `.trash`, macOS's
    `._notes.txt` and `__MACOSX`, the lock `~$notes.txt`."""
    return any(part.startswith(HIDDEN_STARTS) or part in HIDDEN for part in path.parts)


def count_hidden(path: Path, suffixes: tuple[str, ...]) -> int:
    """How many hidden files with one of the suffixes `find` does not read."""
    below = [] if path.is_file() else _below(path, suffixes)
    return sum(is_hidden(file.relative_to(path)) for file in below)


def stamps(files: list[Path]) -> list[Stamp]:
    """Name, size and time of each file: what a cache remembers to know when they changed."""
    return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def documents(files: list[Path], settings: TextSettings) -> Iterator[Document]:
    """Whole files, or chunks of whole paragraphs where there are few files.

    A chunk ends at the first blank line after `chunk_characters`, or sooner in a small corpus, so
    that there are enough of them to hold some out.
    """
    by_file = settings.split_by == "file" or (
        settings.split_by == "auto" and len(files) >= WHOLE_FILES_FROM
    )
    total = sum(file.stat().st_size for file in files)
    if not total:
        raise DataError(f"{files[0].parent} holds only empty files; put some text there")
    size = chunk_size(total, settings.chunk_characters)
    for file in files:
        yield from whole(file) if by_file else split_chunks(file, blocks(file), size)


def whole(file: Path, errors: Literal["strict", "replace"] = "strict") -> Iterator[Document]:
    """The file as one document, or none when it is blank."""
    text = "".join(blocks(file, errors))
    if text.strip():
        yield Document(text, str(file))


def split_chunks(file: Path, parts: Iterable[str], size: int) -> Iterator[Document]:
    """The parts of this file's text as documents of about `size` characters."""
    for number, chunk in enumerate(chunks(parts, size), start=1):
        yield Document(chunk, f"{file}, chunk {number}")


def chunk_size(total: int, wanted: int) -> int:
    """Characters of a chunk: `wanted`, or fewer where `total` bytes would give too few chunks."""
    return min(wanted, max(1, total // FEWEST_CHUNKS))


def chunks(parts: Iterable[str], size: int) -> Iterator[str]:
    """The text that the parts make up in pieces of about `size` characters, cut after a blank line
    where there is one, else after a line, else after a word; nothing but blank pieces is lost.

    Holds two pieces and a part at a time, and cuts alike however the text is parted. A special
    token that the text spells is never cut, so that it is found in whichever piece it stands.

    >>> list(chunks(["a b\\n\\nc", "cc\\n\\nd"], 4))
    ['a b\\n\\n', 'ccc\\n\\n', 'd']
    """
    held, start, more = "", 0, iter(parts)
    while True:
        ahead = 2 * size + LONGEST_SPECIAL
        while len(held) - start < ahead and (part := next(more, None)) is not None:
            held, start = held[start:] + part, 0
        if start >= len(held):
            return
        end = _cut(held, start + size, start + 2 * size)
        if held[start:end].strip():
            yield held[start:end]
        start = end


def _below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    below = (file for file in folder.rglob("*") if file.suffix.lower() in suffixes)
    return sorted(file for file in below if file.is_file())


def _cut(text: str, earliest: int, latest: int) -> int:
    """Where a piece ends: after the best break between the two places."""
    if earliest >= len(text):
        return len(text)
    for mark in ("\n\n", "\n", " "):
        at = text.find(mark, max(0, earliest - len(mark)), latest)
        if at >= 0:
            return at + len(mark)
    for special in SPECIAL_TEXTS:
        at = text.find(special, max(0, latest - len(special) + 1), latest + len(special) - 1)
        if at >= 0:
            return at + len(special)
    return min(latest, len(text))


def read(file: Path) -> str:
    """The file's whole text. Raises as `blocks` does."""
    return "".join(blocks(file))


def blocks(
    file: Path, errors: Literal["strict", "replace"] = "strict", size: int = BLOCK_BYTES
) -> Iterator[str]:
    """The file's text in parts of at most `size` bytes, `plain` as all text that is read.

    Raises DataError naming the file and the first byte that is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    passed, late, encoding = 0, "", "WINDOWS-1252"
    try:
        with file.open("rb") as source:
            if source.read(2) in UTF16:
                encoding = "UTF-16"
            source.seek(0)
            data = b"."
            while data:
                data = source.read(size)
                held = len(decoder.getstate()[0])
                text = late + decoder.decode(data, final=not data)
                passed += len(data)
                # The \n of a \r\n may come with the next block.
                late = "\r" if data and text.endswith("\r") else ""
                yield plain(text.removesuffix(late))
    except UnicodeDecodeError as error:
        place = passed - held + error.start
        raise DataError(
            f"{file} is not UTF-8: byte {place} is 0x{error.object[error.start]:02X}; "
            f"convert it with 'iconv -f {encoding} -t UTF-8 OLD > NEW' or leave it out"
        ) from None
    except OSError as error:
        reason = error.strerror
        raise DataError(
            f"{file} cannot be read ({reason}); make it readable or leave it out"
        ) from None


def lines(parts: Iterable[str]) -> Iterator[str]:
    """The lines of the text that the parts make up, without their ends."""
    begun: list[str] = []
    for part in parts:
        *ended, rest = part.split("\n")
        for line in ended:
            yield "".join((*begun, line))
            begun.clear()
        begun.append(rest)
    yield "".join(begun)


def conversations(files: list[Path], counts: Counter[str] | None = None) -> Iterator[Conversation]:
    """A conversation a line of .jsonl, or those of an array in .json; `counts` says what was left
    out. Raises DataError naming file and line of a broken one."""
    counts, seen, kept = Counter() if counts is None else counts, False, False
    for file in files:
        for where, record in _records(file):
            seen = True
            for conversation in schemas.conversations(record, where, counts):
                kept = True
                yield conversation
    if not seen:
        raise DataError(f"{files[0]} holds no conversation; each line is a list of messages")
    if not kept:
        raise DataError(f"{files[0]} holds no reply to learn: all are blank or have weight 0")


def _records(file: Path) -> Iterator[tuple[str, object]]:
    """What each line, or the whole of a .json file, is as JSON, and where it stands."""
    if file.suffix.lower() == ".json":
        with suppress(ValueError, RecursionError):
            yield str(file), json.loads(read(file))
            return
    for number, line in enumerate(lines(blocks(file)), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            todo = "name the file .json" if line.strip() in "[{" else "mend or remove the line"
            raise DataError(f"{where} is not JSON ({error}); {todo}") from None
        yield where, record
