"""PDF: lines with their places on the page, put together to paragraphs.

PDFium (Chrome's library) reads the page. A line is full where the first word of the next one would
not have fitted; where a line ends early, a paragraph ends, or it is verse, a table or code, whose
lines stay. Gaps, indents and another size of type begin a paragraph too.
"""

import ctypes
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median

import pypdfium2
from pypdfium2 import raw

from nielsgpt.data.sources.booktext import CONTENTS_HEADING, join_hyphenated
from nielsgpt.importers import prose
from nielsgpt.importers.content import Reading, Unreadable
from nielsgpt.importers.decode import repair

MOST_PAGES = 5000
ITEM = re.compile(r"[\u2022\u25aa\u25cf\u2013\u00b7\uf0a7\uf0b7*-] |\d{1,3}[.)] |\([a-z\d]{1,2}\) ")
NOTE = re.compile(r"(?:\d{1,3}|[*\u2020\u2021])[.)\]]?\s*\S")
LEADER = re.compile(r"(?:[.\u2026\u00b7]\s?){4,}\s*(?:\d{1,4}|[ivxlc]{1,7})?$")
MARKS = "\x02\ufffe"  # PDFium's, for a hyphen at a line's end
HYPHEN = re.compile(rf"\w[{MARKS}\u2010\u00ad-]$")
SENTENCE_END = tuple(".!?:\"\u201d\u2019')")
FIXED_PITCH = 1
FIXED_NAMES = re.compile(rb"mono|courier|consol|menlo|typewriter|cmtt|code", re.I)
RESIZED, SMALL = 1.12, 0.92  # times the size of the other type
FEWEST_LINES = 15  # of a page, to tell the width of its columns
COLUMN = 60.0  # points: lines that begin so near each other stand in one column


@dataclass(frozen=True)
class Line:
    """A line of a page: its text, and where it stands, in points from the lower left corner."""

    text: str
    left: float
    right: float
    bottom: float
    size: float
    is_code: bool = False


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
    pages = [page_lines(document, number) for number in range(min(count, MOST_PAGES))]
    if not any(pages):
        raise Unreadable("it holds pictures and no text; run ocrmypdf on it first")
    code = sum(line.is_code for page in pages for line in page)
    if 2 * code > sum(map(len, pages)):  # a typewriter's text is no code
        pages = [[replace(line, is_code=False) for line in page] for page in pages]
    text = join_hyphenated(repair(put_together(bodies(pages, reading)))).replace("-\n", "-")
    yield prose.tighten(prose.without_contents(text))


def page_lines(document: pypdfium2.PdfDocument, number: int) -> list[Line]:
    """The lines of a page, in reading order; none of a page that is damaged."""
    try:
        page = document[number]
        text_page = page.get_textpage()
        text = text_page.get_text_range()
        last = text_page.count_chars() - 1
    except pypdfium2.PdfiumError:
        return []
    lines = []
    for found in re.finditer(rf"[^\r\n{MARKS}]*[{MARKS}]?", text):
        stripped = found[0].strip()
        if not stripped:
            continue
        begin = found.start() + len(found[0]) - len(found[0].lstrip())
        end = begin + len(stripped.rstrip(MARKS)) - 1
        begin, end = min(begin, last), min(max(begin, end), last)
        places = (begin, (begin + end) // 2, end)
        left, right = (text_page.get_charbox(place, loose=True) for place in (begin, end))
        size = median(_size(text_page, place) for place in places)
        bottom = _baseline(text_page, places[1])
        is_code = _is_fixed(text_page, places[1])
        lines.append(Line(stripped, left[0], right[2], bottom, size, is_code))
    text_page.close()
    page.close()
    return lines


def bodies(pages: Sequence[Sequence[Line]], reading: Reading) -> list[list[Line]]:
    """The pages without running heads and feet, page numbers, contents and footnotes."""
    size = median(line.size for page in pages for line in page)
    found = []
    for page, margin in zip(pages, _margins(pages, size), strict=True):
        reading.left_out["headers, footers and page numbers"] += len(margin)
        lines = [line for place, line in enumerate(page) if place not in margin]
        kept = [line for line in lines if not LEADER.search(line.text)]
        if len(kept) < len(lines):
            kept = [line for line in kept if not CONTENTS_HEADING.fullmatch(line.text)]
        if prose.is_contents([line.text for line in lines]):
            kept = []
        reading.left_out["lines of contents"] += len(lines) - len(kept)
        notes = _notes(kept, size)
        reading.left_out["lines of footnotes"] += len(notes)
        found.append([line for place, line in enumerate(kept) if place not in notes])
    return found


def put_together(pages: Sequence[Sequence[Line]]) -> str:
    """The paragraphs of all pages, also those that a page's end divides."""
    edges = _right_edges([line for page in pages for line in page])
    parts: list[str] = []
    flow: _Flow | None = None
    before: Line | None = None
    for page in pages:
        flow = _Flow(page, edges, flow)
        for place, line in enumerate(page):
            after = page[place + 1] if place + 1 < len(page) else None
            glue = flow.glue(before, line, after, is_first=place == 0) if before else ""
            if glue == " " and HYPHEN.search(parts[-1]):
                # Whether the hyphen belongs to the word is known only from the whole text.
                parts[-1] = parts[-1][:-1] + "-"
                glue = "\n"
            elif glue == " ":
                glue = prose.glue(parts[-1], line.text)
            indent = flow.indent(line) if glue == "\n" and flow.in_lines else ""
            parts += [glue, indent + line.text]
            before = line
    return "".join(parts)


class _Flow:
    """A page's measures, and from them what stands between two lines of it: a space where they are
    of one paragraph, a line's end in verse, tables and code, or a blank line."""

    def __init__(
        self, page: Sequence[Line], edges: dict[int, float], earlier: "_Flow | None"
    ) -> None:
        self.edges = edges | _right_edges(page, FEWEST_LINES)
        self.in_lines: bool = earlier.in_lines if earlier else False
        self.in_item: bool = earlier.in_item if earlier else False
        self.earlier = earlier
        self.left = 0.0  # of the lines that stay lines
        steps = [a.bottom - b.bottom for a, b in pairwise(page) if a.bottom > b.bottom]
        self.step = median(steps) if steps else 0.0
        self.indents = sum(_stands_in(a, b) for a, b in pairwise(page)) > 1  # its paragraphs

    def glue(self, before: Line, line: Line, after: Line | None, is_first: bool) -> str:
        """The glue between the line and the one before it."""
        glue = self._glue(before, line, after, is_first)
        if glue == "\n\n" or (glue == " " and not self.in_item):
            self.in_lines = False
            self.in_item = bool(glue != " " and ITEM.match(line.text))
        elif glue == "\n" and not self.in_lines:
            self.in_lines, self.left = True, before.left
        return glue

    def indent(self, line: Line) -> str:
        """The spaces by which a line of verse or code stands in."""
        width = (line.right - line.left) / max(1, len(line.text))
        return " " * max(0, min(40, round((line.left - self.left) / max(1.0, width))))

    def _glue(self, before: Line, line: Line, after: Line | None, is_first: bool) -> str:
        sizes = sorted((before.size, line.size))
        if sizes[1] > RESIZED * sizes[0]:
            return "\n\n"
        if before.is_code != line.is_code:
            return "\n\n"
        if line.is_code:
            return "\n" if is_first or self._is_near(before, line) else "\n\n"
        others = (None if is_first else before, after)
        indented = any(_stands_in(line, other) for other in others if other)
        full = (self.earlier if is_first and self.earlier else self)._is_full(before, line)
        ends = before.text.endswith(SENTENCE_END)
        if ITEM.match(line.text) and (self.in_item or not full):
            return "\n\n"
        if HYPHEN.search(before.text) and line.text[:1].islower():
            return " "
        if is_first or line.bottom > before.bottom + line.size:  # a new page or column
            may_go_on = full and not indented and (self.indents or not ends)
            goes_on = line.text[:1].islower() or may_go_on
            return " " if goes_on else "\n\n"
        if not self._is_near(before, line):
            return "\n\n"
        if self.in_lines and not full and line.left > self.left - 0.8 * line.size:
            return "\n"
        if not (full or ends) and abs(line.left - before.left) < 1:
            return "\n"
        if indented and not self.in_item:
            return "\n\n"
        if full:
            return " "
        return "\n\n" if ends else "\n"

    def _is_near(self, before: Line, line: Line) -> bool:
        return before.bottom - line.bottom <= 1.35 * self.step

    def _is_full(self, line: Line, after: Line) -> bool:
        width = min(0.6 * line.size, (line.right - line.left) / max(1, len(line.text)))
        word = len(after.text.split(maxsplit=1)[0])
        room = self.edges.get(int(line.left // COLUMN), line.right) - line.right
        return room < (word + 1) * 1.1 * width


def _stands_in(line: Line, other: Line) -> bool:
    return 0.8 * line.size < line.left - other.left < 5 * line.size


def _right_edges(lines: Sequence[Line], fewest: int = 1) -> dict[int, float]:
    """Where the lines end that begin at about a place, for each place with at least `fewest`."""
    ends: dict[int, list[float]] = {}
    for line in lines:
        for near in (-1, 0, 1):
            ends.setdefault(int(line.left // COLUMN) + near, []).append(line.right)
    return {
        place: sorted(found)[int(0.9 * (len(found) - 1))]
        for place, found in ends.items()
        if len(found) >= fewest
    }


def _margins(pages: Sequence[Sequence[Line]], size: float) -> list[set[int]]:
    """The places of running heads and feet, which are those of the highest and lowest lines."""
    orders = [sorted(range(len(page)), key=lambda n: -page[n].bottom) for page in pages]
    texts = [
        [page[place].text for place in order] for page, order in zip(pages, orders, strict=True)
    ]
    times = Counter(text for page in texts for text in set(page))

    def is_heading(line: Line) -> bool:
        """Headings stand on top too, and are often alike but for a number."""
        is_unlike = times[line.text] < prose.FEWEST_PAGES
        is_number = prose.PAGE_NUMBER.fullmatch(line.text)
        return line.size > RESIZED * size and is_unlike and not is_number

    return [
        {order[place] for place in margin if not is_heading(page[order[place]])}
        for page, order, margin in zip(pages, orders, prose.margins(texts), strict=True)
    ]


def _notes(lines: Sequence[Line], size: float) -> set[int]:
    """The places of the lines in small type that begin with a number, to the end of a column."""
    notes: set[int] = set()
    inside = False
    for place, line in enumerate(lines):
        is_small = line.size < SMALL * size
        inside = is_small and (inside or bool(NOTE.match(line.text)))
        if inside:
            notes.add(place)
    return notes if 2 * len(notes) < len(lines) else set()


def _size(text_page: pypdfium2.PdfTextPage, place: int) -> float:
    """The size of a character's type in points, as it appears on the page."""
    matrix = raw.FS_MATRIX()
    if not raw.FPDFText_GetMatrix(text_page, place, matrix):
        return 1.0
    scale = math.hypot(matrix.b, matrix.d) or 1.0
    return max(1.0, scale * float(raw.FPDFText_GetFontSize(text_page, place)))


def _baseline(text_page: pypdfium2.PdfTextPage, place: int) -> float:
    x, y = ctypes.c_double(), ctypes.c_double()
    raw.FPDFText_GetCharOrigin(text_page, place, x, y)
    return y.value


def _is_fixed(text_page: pypdfium2.PdfTextPage, place: int) -> bool:
    """Whether the character is set in type of a fixed width."""
    name, flags = ctypes.create_string_buffer(80), ctypes.c_int()
    raw.FPDFText_GetFontInfo(text_page, place, name, 80, flags)
    return bool(flags.value & FIXED_PITCH) or bool(FIXED_NAMES.search(name.value))
