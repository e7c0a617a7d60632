"""Your own files: .txt and .md for pretraining, .jsonl conversations for SFT.

A chat line is a list of {"role", "content"} objects, or an object with such a list as `messages`.
Files are read block by block, so a file may be larger than the memory; only a text that is one
document by itself is held whole.
"""

import codecs
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from nielsgpt.config.source_settings import TextSettings
from nielsgpt.conversation import Conversation, Document, conversation_from
from nielsgpt.errors import DataError

TEXT_SUFFIXES = (".txt", ".md")
CHAT_SUFFIXES = (".jsonl",)
WHOLE_FILES_FROM = 20
FEWEST_CHUNKS = 50
BLOCK_BYTES = 2**20
Stamp = list[str | int]


def find(path: Path, suffixes: tuple[str, ...], setting: str) -> list[Path]:
    """The file itself, or every file below the folder with one of the suffixes, sorted.

    Raises DataError naming the setting when there is none.
    """
    if path.is_file():
        return [path]
    found = sorted(
        file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file()
    )
    if not found:
        what = "holds no " + " or ".join(suffixes) if path.is_dir() else "is not there"
        raise DataError(f"{path} {what}; put your files there or set {setting}")
    return found


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

    Holds two pieces and a part at a time, and cuts alike however the text is parted.

    >>> list(chunks(["a b\\n\\nc", "cc\\n\\nd"], 4))
    ['a b\\n\\n', 'ccc\\n\\n', 'd']
    """
    held, start, more = "", 0, iter(parts)
    while True:
        while len(held) - start < 2 * size and (part := next(more, None)) is not None:
            held, start = held[start:] + part, 0
        if start >= len(held):
            return
        end = _cut(held, start + size, start + 2 * size)
        if held[start:end].strip():
            yield held[start:end]
        start = end


def _cut(text: str, earliest: int, latest: int) -> int:
    """Where a piece ends: after the best break between the two places."""
    if earliest >= len(text):
        return len(text)
    for mark in ("\n\n", "\n", " "):
        at = text.find(mark, max(0, earliest - len(mark)), latest)
        if at >= 0:
            return at + len(mark)
    return min(latest, len(text))


def read(file: Path) -> str:
    """The file's whole text. Raises as `blocks` does."""
    return "".join(blocks(file))


def blocks(
    file: Path, errors: Literal["strict", "replace"] = "strict", size: int = BLOCK_BYTES
) -> Iterator[str]:
    """The file's text in parts of at most `size` bytes, without byte order mark, each line end \\n.

    Raises DataError naming the file and the first byte that is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    passed, late = 0, ""
    try:
        with file.open("rb") as source:
            if source.read(3) != codecs.BOM_UTF8:
                source.seek(0)
            passed, data = source.tell(), b"."
            while data:
                data = source.read(size)
                held = len(decoder.getstate()[0])
                text = late + decoder.decode(data, final=not data)
                passed += len(data)
                # The \n of a \r\n may come with the next block.
                late = "\r" if data and text.endswith("\r") else ""
                yield text.removesuffix(late).replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        place = passed - held + error.start
        raise DataError(
            f"{file} is not UTF-8: byte {place} is 0x{error.object[error.start]:02X}; "
            "convert it with 'iconv -t UTF-8' or leave it out"
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


def conversations(files: list[Path]) -> Iterator[Conversation]:
    """One conversation a line. Raises DataError naming file and line of a broken one."""
    seen = False
    for file in files:
        for number, line in enumerate(lines(blocks(file)), start=1):
            if not line.strip():
                continue
            seen = True
            where = f"{file}, line {number}"
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{where} is not JSON ({error}); mend or remove the line") from None
            if isinstance(record, dict):
                record = record.get("messages")
            if not isinstance(record, list):
                raise DataError(f"{where} holds neither a list of messages nor a messages key")
            yield conversation_from(record, where)
    if not seen:
        raise DataError(f"{files[0]} holds no conversation; each line is a list of messages")
