"""PDF: lines with their places on the page, put together to paragraphs.

PDFium (Chrome's library) reads the page; where a paragraph ends is seen from the gap between two
lines, an indented first line, or a short last one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import pypdfium2

from nielsgpt.data.sources.booktext import join_hyphenated, remove_contents
from nielsgpt.importers import prose
from nielsgpt.importers.content import Reading, Unreadable
from nielsgpt.importers.decode import repair

MOST_PAGES = 5000
BULLET = re.compile(r"[\u2022\u25aa\u25cf\u2013-] ")
HYPHEN = ("\x02", "\ufffe")  # PDFium's mark for a hyphen at a line's end
SENTENCE_END = tuple(".!?:\"\u201d\u2019')")


@dataclass(frozen=True)
class Line:
    """A line of a page: its text, and where it stands, in points from the lower left corner."""

    text: str
    left: float
    right: float
    bottom: float
    top: float


def read_pdf(path: Path, reading: Reading) -> Iterator[str]:
    """The document's prose. Raises Unreadable for one with a password, or without any text."""
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        raise Unreadable("it needs a password" if locked else "it is damaged") from None
    count = len(document)
    if count > MOST_PAGES:
        reading.left_out[f"pages after the {MOST_PAGES:,}th"] += count - MOST_PAGES
    pages = [page_lines(document[number]) for number in range(min(count, MOST_PAGES))]
    if not any(pages):
        raise Unreadable("it holds pictures and no text; run ocrmypdf on it first")
    text = "\n\n".join(filter(None, paragraphs(pages, reading)))
    text = join_hyphenated(repair(text)).replace("-\n", "-")
    yield prose.tidy(remove_contents(text))


def page_lines(page: pypdfium2.PdfPage) -> list[Line]:
    """The lines of a page, in reading order."""
    try:
        text_page = page.get_textpage()
        text = text_page.get_text_range()
        total = text_page.count_chars()
    except pypdfium2.PdfiumError:
        return []
    lines, place = [], 0
    for part in text.split("\r\n"):
        stripped = part.strip()
        if stripped:
            first = min(place + len(part) - len(part.lstrip()), total - 1)
            last = min(place + len(part.rstrip()) - 1, total - 1)
            while last > first and part[last - place] in HYPHEN:
                last -= 1
            left, bottom, _, top = text_page.get_charbox(first, loose=True)
            right = text_page.get_charbox(last, loose=True)[2]
            lines.append(Line(stripped, left, right, bottom, top))
        place += len(part) + 2
    text_page.close()
    page.close()
    return lines


def paragraphs(pages: list[list[Line]], reading: Reading) -> Iterator[str]:
    """The paragraphs of all pages, also those that a page's end divides."""
    margins = prose.margins([[line.text for line in page] for page in pages])
    held = ""
    for page, margin in zip(pages, margins, strict=True):
        reading.left_out["headers, footers and page numbers"] += len(margin)
        lines = [line for place, line in enumerate(page) if place not in margin]
        if prose.is_contents([line.text for line in lines]):
            reading.left_out["pages of contents"] += 1
            continue
        for starts, text in _with_starts(lines):
            goes_on = held and not held.endswith(SENTENCE_END) and not text[:1].isupper()
            if starts and not goes_on:
                yield held
                held = text
            else:
                held = _join(held, text)
    yield held


def _with_starts(lines: list[Line]) -> Iterator[tuple[bool, str]]:
    """Each line, and whether a paragraph starts with it."""
    if not lines:
        return
    steps = [a.bottom - b.bottom for a, b in pairwise(lines) if a.bottom > b.bottom]
    step = median(steps) if steps else 0.0
    size = median(max(1.0, line.top - line.bottom) for line in lines)
    width = max(line.right - line.left for line in lines)
    yield True, lines[0].text
    for before, line, after in zip(lines, lines[1:], [*lines[2:], lines[-1]], strict=False):
        gap = before.bottom - line.bottom > 1.35 * step or line.bottom > before.bottom + size
        indents = (line.left - other.left for other in (before, after))
        indented = any(0.8 * size < indent < 5 * size for indent in indents)
        short = before.right - before.left < 0.8 * width and before.text.endswith(SENTENCE_END)
        sizes = sorted((before.top - before.bottom, line.top - line.bottom))
        resized = sizes[1] > 1.12 * sizes[0]  # a heading
        yield gap or indented or short or resized or bool(BULLET.match(line.text)), line.text


def _join(text: str, line: str) -> str:
    """Whether a hyphen at a line's end belongs to the word is known only from the whole text."""
    if text.endswith((*HYPHEN, "-")):
        return f"{text[:-1]}-\n{line}"
    return prose.join_lines([text, line]) if text else line
