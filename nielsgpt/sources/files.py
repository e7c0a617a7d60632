"""Your own files: .txt and .md for pretraining, .jsonl conversations for SFT.

A chat line is a list of {"role", "content"} objects, or an object with such a list as `messages`.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from nielsgpt.conversation import Conversation, Document, conversation_from
from nielsgpt.errors import DataError
from nielsgpt.settings.sources import TextSettings

TEXT_SUFFIXES = (".txt", ".md")
CHAT_SUFFIXES = (".jsonl",)
WHOLE_FILES_FROM = 20
FEWEST_CHUNKS = 50
Stamp = list[str | int]


def find(path: Path, suffixes: tuple[str, ...], setting: str) -> list[Path]:
    """The file itself, or every file below the folder with one of the suffixes, sorted.

    Raises DataError naming the setting when there is none.
    """
    if path.is_file():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix in suffixes and file.is_file())
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
    size = min(settings.chunk_characters, max(1, total // FEWEST_CHUNKS))
    for file in files:
        text = read(file)
        if by_file and text.strip():
            yield Document(text, str(file))
        elif not by_file:
            for number, chunk in enumerate(chunks(text, size), start=1):
                yield Document(chunk, f"{file}, chunk {number}")


def chunks(text: str, size: int) -> Iterator[str]:
    """The text in pieces of about `size` characters, cut after a blank line where there is one,
    else after a line, else after a word; nothing is lost.

    >>> list(chunks("a b\n\nccc\n\nd", 4))
    ['a b\n\n', 'ccc\n\n', 'd']
    """
    start = 0
    while start < len(text):
        end = _cut(text, start + size, start + 2 * size)
        if text[start:end].strip():
            yield text[start:end]
        start = end


def _cut(text: str, earliest: int, latest: int) -> int:
    """Where a piece ends: after the best break between the two places."""
    if latest >= len(text):
        return len(text) if earliest >= len(text) else _break(text, earliest, len(text))
    return _break(text, earliest, latest)


def _break(text: str, earliest: int, latest: int) -> int:
    for mark in ("\n\n", "\n", " "):
        at = text.find(mark, max(0, earliest - len(mark)), latest)
        if at >= 0:
            return at + len(mark)
    return latest


def read(file: Path) -> str:
    """The file's text. Raises DataError naming the file and the first byte that is not UTF-8."""
    try:
        return file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02X}; "
            "convert it with 'iconv -t UTF-8' or leave it out"
        ) from None
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror})") from None


def conversations(files: list[Path]) -> Iterator[Conversation]:
    """One conversation a line. Raises DataError naming file and line of a broken one."""
    seen = False
    for file in files:
        for number, line in enumerate(read(file).split("\n"), start=1):
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
