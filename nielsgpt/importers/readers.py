"""Which reader reads which file, and one file read to the end: what a child process does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nielsgpt.importers import markup, pdf, plain, private
from nielsgpt.importers.content import Content, Reader, Reading, Unreadable, turn_record

VERSION = 2  # raised when a reader reads differently, so that files are read again
READERS: dict[str, Reader] = {
    **dict.fromkeys((".txt", ".text", ".asc", ".log"), plain.read_plain),
    **dict.fromkeys((".md", ".markdown"), plain.read_note),
    **dict.fromkeys((".html", ".htm", ".xhtml"), markup.read_html),
    **dict.fromkeys((".srt", ".vtt", ".ass"), plain.read_subtitles),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), plain.read_json),
    **dict.fromkeys((".csv", ".tsv"), plain.read_csv),
    ".pdf": pdf.read_pdf,
    ".epub": markup.read_epub,
    ".docx": markup.read_docx,
    ".odt": markup.read_odt,
    ".rtf": markup.read_rtf,
    ".mbox": plain.read_mbox,
    ".eml": plain.read_mail,
    ".parquet": plain.read_parquet,
}
COLUMNED = frozenset((".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"))


def read_file(path: str, suffix: str, column: str, target: str) -> dict[str, Any]:
    """Read a file and write its content to `target`, one document or chat a line.

    Returns the counts. Raises Unreadable where there is nothing to read.
    """
    reading = Reading(column)
    found: dict[str, Any] = {"documents": 0, "chats": 0, "characters": 0, "private": {}}
    with Path(target).open("w", encoding="utf-8") as file:
        for content in READERS[suffix](Path(path), reading):
            record = _record(content, found)
            if record is not None:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
    if not found["documents"] and not found["chats"]:
        reasons = ", ".join(f"{count:,} {what}" for what, count in (+reading.left_out).items())
        raise Unreadable(f"it holds no text{f' ({reasons})' if reasons else ''}")
    return found | {"left_out": dict(+reading.left_out)}


def read_content(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that `read_file` wrote."""
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _record(content: Content, found: dict[str, Any]) -> dict[str, Any] | None:
    """The content as a line, counted; None where it is blank."""
    is_document = isinstance(content, str)
    text = content if isinstance(content, str) else "\n".join(turn.text for turn in content)
    if not text.strip():
        return None
    found["documents" if is_document else "chats"] += 1
    found["characters"] += len(text)
    private.note(text, found["private"])
    if isinstance(content, str):
        return {"text": content}
    return {"chat": [turn_record(turn) for turn in content]}
