"""An import in words: a table of files, a few lines of what to know, and the page."""

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nielsgpt.format import align_columns, format_count
from nielsgpt.importers.manifest import Result, Row
from nielsgpt.report.imports import ImportPage, write_page

HEADS = ("file", "documents", "conversations", "read", "kept", "language", "left out")
MOST_ROWS = 40
LONGEST_NAME, LONGEST_REASON = 48, 100


def table(result: Result) -> str:
    """The files and what became of them; of very many, those that were not read, and the total."""
    rows = result.rows
    if len(rows) > MOST_ROWS:
        rows = [row for row in rows if row.reason][:MOST_ROWS]
    total = Row(f"{len(result.rows):,} files", key="total")
    for row in result.rows:
        total.documents += row.documents
        total.conversations += row.conversations
        total.read += row.read
        total.kept += row.kept
        total.languages.update(row.languages)
    return align_columns([HEADS, *(_cells(row) for row in rows), _cells(total)])


def lines(result: Result, root: Path) -> Iterator[str]:
    """Lines on new, repeated, private and unknown content, and the next command."""
    unread = sum(bool(row.reason) for row in result.rows)
    yield f"read now: {result.new:,}; could not be read: {unread:,}"
    repeated = [f"{count:,} {what}" for what, count in result.repeats.items() if count]
    if repeated:
        yield f"left out as repeats: {', '.join(repeated)}"
    found = [f"{count:,} {kind} (as {examples})" for kind, count, examples in _private(result)]
    if found:
        end = "replaced in the corpus" if result.redacted else "--redact replaces it"
        yield f"private data: {'; '.join(found)}; {end}"
    if result.unknown:
        kinds = ", ".join(f"{n:,} {suffix}" for suffix, n in result.unknown.most_common(6))
        yield f"files without a reader: {kinds}"
    for place in result.edited:
        yield f"{place} was changed since it was imported, and is left as it is"
    if result.speakers:
        names = ", ".join(f"{name} ({n:,})" for name, n in result.speakers.most_common(6))
        who = shlex.quote(result.speakers.most_common(1)[0][0])
        yield f"the chats wait: run the same command with --as {who}, or another of {names}"
    yield from _next_command(result, root)


def _next_command(result: Result, root: Path) -> Iterator[str]:
    """Training on what was imported; the primer stands in for the kind that is missing."""
    over = []
    if not any(row.documents for row in result.rows):
        over.append('data.mix_pretrain={"primer":1}')
    if result.chat_path is None:
        over.append('data.mix_sft={"primer":1}')
    elif result.chat_path.name != "chat.jsonl":
        yield "data/raw/chat.jsonl is yours, so the imported chats are in another file"
        over.append(f"data.chat.path={result.chat_path.relative_to(root)}")
    if result.chat_path is not None or len(over) < 2:
        sets = "".join(f" --set {shlex.quote(setting)}" for setting in over)
        yield f"next: nielsgpt pipeline --config mine.json{sets}"


def write(result: Result, root: Path) -> Path:
    """Write data/import/report.html; returns its path."""
    languages: Counter[str] = sum((row.languages for row in result.rows), Counter[str]())
    read, kept = (sum(getattr(row, name) for row in result.rows) for name in ("read", "kept"))
    cards = (
        ("files", f"{sum(not row.reason for row in result.rows):,} of {len(result.rows):,}"),
        ("documents", f"{len(result.lengths):,}"),
        ("conversations", f"{sum(row.conversations for row in result.rows):,}"),
        ("characters kept", f"{format_count(kept)} of {format_count(read)}"),
    )
    private = [[kind, f"{count:,}", examples] for kind, count, examples in _private(result)]
    rows = [_cells(row) for row in result.rows]
    path = root / "data" / "import" / "report.html"
    page = ImportPage(cards, HEADS, rows, private, result.lengths, languages, result.repeats)
    write_page(page, path)
    return path


def _cells(row: Row) -> list[str]:
    counts = ", ".join(f"{count:,} {what}" for what, count in row.left_out.items())
    name = _shorten(row.name)
    if row.reason:
        return [name, "-", "-", "-", "-", "-", f"not read: {row.reason}"[:LONGEST_REASON]]
    return [
        name,
        f"{row.documents:,}",
        f"{row.conversations:,}",
        format_count(row.read),
        format_count(row.kept),
        " ".join(language for language, _ in row.languages.most_common(3)) or "-",
        counts[:LONGEST_REASON],
    ]


def _shorten(name: str) -> str:
    """The end of a long name, on one line."""
    plain = "".join(c if c.isprintable() else "?" for c in name)
    return plain if len(plain) <= LONGEST_NAME else f"...{plain[3 - LONGEST_NAME :]}"


def _private(result: Result) -> list[tuple[str, int, str]]:
    """Each kind of private data: how often it was found, and examples."""
    found: dict[str, Any] = {}
    for row in result.rows:
        for kind, of_kind in row.private.items():
            entry = found.setdefault(kind, {"count": 0, "examples": []})
            entry["count"] += of_kind["count"]
            entry["examples"] += of_kind["examples"]
    return [
        (kind, entry["count"], ", ".join(entry["examples"][:3])) for kind, entry in found.items()
    ]
