"""The user's own files: .txt and .md for pretraining, .jsonl conversations for SFT.

A chat line is a list of {"role", "content"} objects, or another format supported by `schemas`.
Files are read block by block, so a file may be larger than memory; only a file that is a single
document is loaded whole.
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
from nielsgpt.data.sources.cleaning import normalize_text
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


def find_files(path: Path, suffixes: tuple[str, ...], setting: str) -> list[Path]:
    """The file itself, or the files below the folder with one of the suffixes, sorted.

    Skips hidden files. Raises DataError naming the setting if there are no files.
    """
    if path.is_file():
        return [path]
    below = _list_files(path, suffixes)
    found = [file for file in below if not is_hidden(file.relative_to(path))]
    if not found and below:
        raise DataError(
            f"{path} has only hidden files, such as {below[0].relative_to(path)}, which are not "
            f"read; put your files there, or name one file in {setting}"
        )
    if not found:
        problem = "has no " + " or ".join(suffixes) if path.is_dir() else "is not there"
        raise DataError(f"{path} {problem}; put your files there or set {setting}")
    return found


def is_hidden(path: Path) -> bool:
    """Whether a part of the path is hidden: `.git`, `._notes.txt`, `__MACOSX`, `~$notes.txt`."""
    return any(part.startswith(HIDDEN_STARTS) or part in HIDDEN for part in path.parts)


def count_hidden(path: Path, suffixes: tuple[str, ...]) -> int:
    """The number of hidden files with one of the suffixes, which `find_files` skips."""
    below = [] if path.is_file() else _list_files(path, suffixes)
    return sum(is_hidden(file.relative_to(path)) for file in below)


def stat_files(files: list[Path]) -> list[Stamp]:
    """Name, size and modification time of each file, by which a cache detects changes."""
    return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def read_documents(files: list[Path], settings: TextSettings) -> Iterator[Document]:
    """Whole files, or chunks of whole paragraphs if there are few files.

    A chunk ends at the first blank line after `chunk_characters`, or sooner in a small corpus, so
    that there are enough chunks to hold some out.
    """
    by_file = settings.split_by == "file" or (
        settings.split_by == "auto" and len(files) >= WHOLE_FILES_FROM
    )
    total = sum(file.stat().st_size for file in files)
    if not total:
        raise DataError(f"{files[0].parent} has only empty files; put some text there")
    size = chunk_size(total, settings.chunk_characters)
    for file in files:
        yield from read_document(file) if by_file else split_chunks(file, read_blocks(file), size)


def read_document(
    file: Path, errors: Literal["strict", "replace"] = "strict"
) -> Iterator[Document]:
    """The file as one document, or nothing if it is blank."""
    text = "".join(read_blocks(file, errors))
    if text.strip():
        yield Document(text, str(file))


def split_chunks(file: Path, parts: Iterable[str], size: int) -> Iterator[Document]:
    """Split this file's text, given in parts, into documents of about `size` characters."""
    for number, chunk in enumerate(cut_chunks(parts, size), start=1):
        yield Document(chunk, f"{file}, chunk {number}")


def chunk_size(total: int, wanted: int) -> int:
    """The characters of a chunk: `wanted`, or fewer if `total` bytes give too few chunks."""
    return min(wanted, max(1, total // FEWEST_CHUNKS))


def cut_chunks(parts: Iterable[str], size: int) -> Iterator[str]:
    """Cut a text, given in parts, into chunks of about `size` characters.

    Cuts after a blank line if possible, else after a line, else after a word; only blank chunks
    are dropped. Keeps two chunks and a part in memory; the cuts do not depend on the parts.
    A literal special token is never cut, so that the guard can find it.

    >>> list(cut_chunks(["a b\\n\\nc", "cc\\n\\nd"], 4))
    ['a b\\n\\n', 'ccc\\n\\n', 'd']
    """
    held, start, more = "", 0, iter(parts)
    while True:
        ahead = 2 * size + LONGEST_SPECIAL
        while len(held) - start < ahead and (part := next(more, None)) is not None:
            held, start = held[start:] + part, 0
        if start >= len(held):
            return
        end = _find_cut(held, start + size, start + 2 * size)
        if held[start:end].strip():
            yield held[start:end]
        start = end


def _list_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    below = (file for file in folder.rglob("*") if file.suffix.lower() in suffixes)
    return sorted(file for file in below if file.is_file())


def _find_cut(text: str, earliest: int, latest: int) -> int:
    """The end of a chunk: after the best break between the two positions."""
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


def read_text(file: Path) -> str:
    """The whole text of the file. Raises like `read_blocks`."""
    return "".join(read_blocks(file))


def read_blocks(
    file: Path, errors: Literal["strict", "replace"] = "strict", size: int = BLOCK_BYTES
) -> Iterator[str]:
    """The normalized text of the file in parts of at most `size` bytes.

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
                # The \n of a \r\n may be in the next block.
                late = "\r" if data and text.endswith("\r") else ""
                yield normalize_text(text.removesuffix(late))
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


def split_lines(parts: Iterable[str]) -> Iterator[str]:
    """The lines of a text given in parts, without line ends."""
    begun: list[str] = []
    for part in parts:
        *ended, rest = part.split("\n")
        for line in ended:
            yield "".join((*begun, line))
            begun.clear()
        begun.append(rest)
    yield "".join(begun)


def read_conversations(
    files: list[Path], counts: Counter[str] | None = None
) -> Iterator[Conversation]:
    """The conversations of .jsonl lines or .json arrays; `counts` counts what is left out.

    Raises DataError naming the file and line of a malformed record.
    """
    counts, seen, kept = Counter() if counts is None else counts, False, False
    for file in files:
        for where, record in _read_records(file):
            seen = True
            for conversation in schemas.parse_record(record, where, counts):
                kept = True
                yield conversation
    if not seen:
        raise DataError(f"{files[0]} has no conversation; each line must be a list of messages")
    if not kept:
        raise DataError(f"{files[0]} has no reply to train on: all are blank or have weight 0")


def _read_records(file: Path) -> Iterator[tuple[str, object]]:
    """The JSON value of each line, or of a whole .json file, and its location."""
    if file.suffix.lower() == ".json":
        with suppress(ValueError, RecursionError):
            yield str(file), json.loads(read_text(file))
            return
    for number, line in enumerate(split_lines(read_blocks(file)), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            todo = "name the file .json" if line.strip() in "[{" else "fix or remove the line"
            raise DataError(f"{where} is not JSON ({error}); {todo}") from None
        yield where, record
