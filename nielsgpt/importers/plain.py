"""Plain text, notes in Markdown, subtitles, mail, and tables with a column of text."""

import csv
import email
import email.policy
import io
import json
import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pysubs2

from nielsgpt.importers import chats, prose
from nielsgpt.importers.content import Content, Reading, Unreadable
from nielsgpt.importers.decode import decode, read_text, repair
from nielsgpt.importers.markup import html_text

FRONT_MATTER = re.compile(r"\A---\n.*?\n(?:---|\.\.\.)\n", re.S)
PROPERTIES = re.compile(r"\A(# [^\n]+\n\n)(?:[A-Z][\w /-]{0,40}: [^\n]*\n)+(?=\n)")  # Notion
QUERY = re.compile(r"^```(?:dataview|dataviewjs|query|tasks)\n.*?^```[ \t]*\n?", re.S | re.M)
NOTE_MARKS: tuple[tuple[str, str], ...] = (
    (r"<!--[\s\S]*?-->|%%[\s\S]*?%%", ""),
    (r"!\[\[[^\]\n]*\]\]|!\[[^\]\n]*\]\([^)\n]*\)", ""),  # embeds and pictures
    (r"\{\{\[\[(?:TODO|DONE)\]\]\}\}\s*|\{\{[^}\n]*\}\}", ""),  # Roam
    (r"\[\[[^\]|\n]*\|([^\]|\n]+)\]\]", r"\1"),  # wiki links
    (r"\[\[([^\]|\n#]+)(?:#[^\]|\n]*)?\]\]", r"\1"),
    (r"(?<!!)\[([^\]\n]+)\]\((?:[^()\n]|\([^()\n]*\))*\)", r"\1"),
    (r"\(\([\w-]{9}\)\)", ""),
    (r"^[ \t]*(?:[-*] )?[\w -]{1,30}::.*(?:\n|$)", ""),
    (r"==(\S[^=\n]*)==|\^\^(\S[^^\n]*)\^\^", r"\1\2"),  # highlights
    (r"^</?aside>[ \t]*(?:\n|$)", ""),  # Notion
    (r"[ \t]\^[\w-]{4,}[ \t]*$", ""),  # Obsidian's names of blocks
    (r"^> \[![\w-]+\][+-]?[ \t]*", "> "),
)
BETWEEN_SPEECHES_MS = 4000
QUOTED = re.compile(  # the line that introduces a quote, which may be broken in two, and the quote
    r"^(?:On|Am|Le|El|Em|Il) [^\n]{5,200}(?:\n[^\n]{1,100})?\n?(?:wrote|schrieb[^\n]{0,80}"
    r"|a \u00e9crit|escribi\u00f3|escreveu|ha scritto)\s?:$|^>.*$",
    re.M,
)
QUOTE_BEGINS = re.compile(
    r"^(?:-{3,}\s?(?:Original Message|Urspr\u00fcngliche Nachricht|Forwarded message"
    r"|Message d'origine|Mensaje original|Mensagem original)\s?-{3,}|_{20,}"
    r"|(?:From|Von|De|Da): [^\n]+\n(?:Sent|Gesendet|Envoy\u00e9|Enviad[oa]|Inviato|Date|Datum)\b"
    r"|(?:Sent from my|Von meinem|Envoy\u00e9 de(?:puis)? mon|Enviado (?:desde mi|do meu)"
    r"|Inviato da) .{0,60}$)",
    re.I | re.M,
)
SPEAKER = re.compile(r"^\s*(?:-\s*)?(?:[A-Z][A-Z .']+:\s*)?")  # of a subtitle
UNSPOKEN = re.compile(r"\[[^\]]*\]|\([A-Z' ]+\)|<[^>]+>|[\u266a\u266b]|^# | #$", re.M)
FIELD_BYTES = 16 * 2**20


def read_plain(path: Path, reading: Reading) -> Iterator[Content]:
    """A text in any encoding; a chat where it is an export of WhatsApp."""
    text = read_text(path)
    if chats.is_whatsapp(text):
        yield from chats.whatsapp(text, reading)
    else:
        yield prose.clean(text)


def read_note(path: Path, reading: Reading) -> Iterator[Content]:
    """A note of Obsidian, Notion or Roam: Markdown without links, embeds and properties."""
    yield prose.tidy(plain_markdown(read_text(path)))


def plain_markdown(text: str) -> str:
    """Markdown without what only the program of notes understands; blocks of code as they are.

    >>> plain_markdown("See [[Lamp|the lamp]] and ![[a.png]]`[[x]]`")
    'See the lamp and `[[x]]`'
    """
    text = QUERY.sub("", PROPERTIES.sub(r"\1", FRONT_MATTER.sub("", text)))
    parts = re.split(r"(^```.*?^```[ \t]*$|`[^`\n]+`)", text, flags=re.S | re.M)
    for place in range(0, len(parts), 2):
        for pattern, instead in NOTE_MARKS:
            parts[place] = re.sub(
                pattern, instead, parts[place], flags=re.M | re.S if "<!" in pattern else re.M
            )
        parts[place] = prose.unwrap(parts[place])
    return "".join(parts)


def read_subtitles(path: Path, reading: Reading) -> Iterator[Content]:
    """The spoken text, a paragraph up to the next long pause, without times and descriptions."""
    try:
        events = pysubs2.SSAFile.from_string(read_text(path))
    except (pysubs2.exceptions.Pysubs2Error, ValueError):
        raise Unreadable("it holds no subtitles") from None
    spoken: list[list[str]] = [[]]
    until = 0
    last: list[str] = []  # a caption that rolls up repeats the lines before it
    for event in events:
        shown = [
            SPEAKER.sub("", line).strip() for line in UNSPOKEN.sub("", event.plaintext).split("\n")
        ]
        new = [line for line in shown if line and line not in last]
        if not new:
            reading.left_out["descriptions and repeated lines"] += 1
            continue
        if event.start - until > BETWEEN_SPEECHES_MS:
            spoken.append([])
        spoken[-1] += new
        until, last = event.end, shown
    yield "\n\n".join(" ".join(lines) for lines in spoken if lines)


def read_mbox(path: Path, reading: Reading) -> Iterator[Content]:
    """The mails of a mailbox, one by one, without what they quote."""
    held: list[bytes] = []
    with path.open("rb") as file:
        before = b"\n"
        for line in file:
            if line.startswith(b"From ") and not before.strip() and held:
                yield from mail_text(b"".join(held), reading)
                held = []
            elif not line.startswith(b"From ") or before.strip():
                held.append(line[1:] if line.startswith(b">From ") else line)
            before = line
    yield from mail_text(b"".join(held), reading)


def read_mail(path: Path, reading: Reading) -> Iterator[Content]:
    """One mail."""
    yield from mail_text(path.read_bytes(), reading)


def mail_text(data: bytes, reading: Reading) -> Iterator[str]:
    """A mail's subject and its own words: no headers, quotes, signature or attachments."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    reading.left_out["attachments"] += (
        sum(1 for _ in message.iter_attachments()) if message.is_multipart() else 0
    )
    try:
        part = message.get_body(("plain", "html"))
        raw = part.get_payload(decode=True) if part is not None else None
        if part is None or not isinstance(raw, bytes):
            reading.left_out["mails without text"] += 1
            return
        text = _charset_text(raw, part.get_content_charset())
        subject = str(message["subject"] or "").strip()
        is_html = part.get_content_type() == "text/html"
    except (LookupError, ValueError, AttributeError, IndexError, TypeError):
        reading.left_out["damaged mails"] += 1
        return
    text = html_text(text) if is_html else text.replace("\r\n", "\n")
    text = re.split(r"^-- ?$", text, maxsplit=1, flags=re.M)[0]
    begins = QUOTE_BEGINS.search(text)
    text = text[: begins.start()] if begins and begins.start() > 0 else text
    body = prose.tidy(prose.unwrap(repair(QUOTED.sub("", text))))
    if body.strip():
        yield f"{subject}\n\n{body}" if subject else body
    else:
        reading.left_out["mails without words of their own"] += 1


def _charset_text(raw: bytes, charset: str | None) -> str:
    try:
        return raw.decode(charset or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return decode(raw)


def read_csv(path: Path, reading: Reading) -> Iterator[Content]:
    """A document for each cell of the column. Raises Unreadable, naming the columns there are."""
    csv.field_size_limit(FIELD_BYTES)
    text = read_text(path)
    try:
        dialect: type[csv.Dialect] | csv.Dialect = csv.Sniffer().sniff(text[:65536], ",;\t|")
    except csv.Error:
        dialect = csv.excel_tab if path.suffix.lower() == ".tsv" else csv.excel
    rows = csv.DictReader(io.StringIO(text, newline=""), dialect=dialect)
    try:
        if chats.is_export([dict.fromkeys(rows.fieldnames or ())]):
            yield from chats.from_tree(list(rows), path, reading)
            return
        column = find_column(list(rows.fieldnames or ()), reading.column)
        for row in rows:
            yield from _cell(row.get(column), reading)
    except csv.Error as error:
        raise Unreadable(f"its rows cannot be told apart ({error})") from None


def read_parquet(path: Path, reading: Reading) -> Iterator[Content]:
    """The same of a Parquet file, group by group; conversations where a column holds them."""
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path, memory_map=False)
        names = file.schema_arrow.names
        chat = next((name for name in ("messages", "conversations") if name in names), None)
        column = (
            chat if chat and reading.column not in names else find_column(names, reading.column)
        )
        for batch in file.iter_batches(batch_size=256, columns=[column]):
            for value in batch.column(0).to_pylist():
                found = chats.conversation({column: value}) if column == chat else None
                if found:
                    yield found
                else:
                    yield from _cell(value, reading)
    except (pyarrow.ArrowException, OSError) as error:
        raise Unreadable(f"it is damaged ({str(error).splitlines()[0][:80]})") from None


def read_json(path: Path, reading: Reading) -> Iterator[Content]:
    """An export of chats, or documents of the column. Raises Unreadable where it is neither."""
    text = read_text(path)
    try:
        tree = json.loads(text)
    except RecursionError:
        raise Unreadable("it nests too deep") from None
    except ValueError as error:
        if path.suffix.lower() == ".json" and "\n{" not in text:
            raise Unreadable(f"it is not JSON ({error})") from None
        yield from _json_lines(text, reading)
        return
    yield from chats.from_tree(tree, path, reading)
    if not chats.is_export(tree):
        yield from _records(tree if isinstance(tree, list) else [tree], reading)


def _json_lines(text: str, reading: Reading) -> Iterator[Content]:
    def lines() -> Iterator[Any]:
        for line in text.split("\n"):
            if line.strip():
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError):
                    reading.left_out["lines that are not JSON"] += 1

    yield from _records(lines(), reading)


def _records(records: Any, reading: Reading) -> Iterator[Content]:
    seen: set[str] = set()
    any_found = False
    for record in records:
        found = chats.conversation(record)
        if found:
            any_found = True
            yield found
        elif isinstance(record, dict) and reading.column in record:
            any_found = True
            yield from _cell(record[reading.column], reading)
        else:
            seen.update(record if isinstance(record, dict) else ())
            reading.left_out["records of another shape"] += 1
    if not any_found:
        find_column(sorted(seen), reading.column)


def find_column(names: list[str], wanted: str) -> str:
    """The column as it is spelled. Raises Unreadable, naming those there are."""
    for name in names:
        if name.strip().lower() == wanted.lower():
            return name
    if not names:
        raise Unreadable("it is empty")
    listed = ", ".join(names[:12])
    raise Unreadable(f"it has no column {wanted!r}; name one with --column: {listed}")


def _cell(value: object, reading: Reading) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield prose.tidy(repair(value))
    else:
        reading.left_out["empty cells"] += 1
