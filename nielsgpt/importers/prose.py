"""Text as its author meant it: lines that only a page's width divided are joined, the rest is left.

    It was a dark and stormy          It was a dark and stormy night; the rain fell.
    night; the rain fell.       ->
                                      Tyger Tyger, burning bright,
    Tyger Tyger, burning bright,      In the forests of the night;
    In the forests of the night;

A line is full where the first word of the next one would not have fitted. Prose has full lines.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from nielsgpt.data.sources.booktext import join_hyphenated, remove_contents
from nielsgpt.data.sources.gutenberg import extract_body

NARROWEST, WIDEST = 40, 120  # characters of a hard-wrapped line
FULL_SHARE = 0.75  # of a paragraph's lines, without its last
CODE = re.compile(
    r"^(?:\t| {4,})\S|[{};]$|^\s*(?:#include|def |class |import |from \w+ import )", re.M
)
ITEM = re.compile(r"^\s*(?:[-*+\u2022>|]|\d{1,3}[.)])\s")
NUMBER = r"(?:\d{1,4}|c{0,3}(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3}))"
PAGE_NUMBER = re.compile(
    rf"[\W_]*(?:(?:page|seite|p\.|pg\.|pagina|p\u00e1gina)\s*)?{NUMBER}"
    rf"(?:\s*(?:/|of|von|de|sur)\s*{NUMBER})?[\W_]*",
    re.I,
)
LEADERS = re.compile(r"(?:\.\s?){4,}\s*\d{1,4}\s*$|\s{3,}\d{1,4}\s*$")
ADJACENT = re.compile(  # two items of a list, or rows of a table
    "|".join(
        rf"^(?={kind})(.*)\n\n(?={kind})" for kind in ("[-\u2022] ", r"\d{1,3}[.)] ", r".* \| ")
    ),
    re.M,
)
MARGIN_LINES = 2  # at the top and at the bottom of a page
FEWEST_PAGES = 3


def clean(text: str) -> str:
    """A book or another plain text: the licence, contents and hard line breaks taken out."""
    text = re.sub(r"[ \t]+$", "", text, flags=re.M)
    return tidy(without_contents(unwrap(join_hyphenated(extract_body(text)))))


def without_contents(text: str) -> str:
    """The text without a table of contents that is headed as one."""
    if not re.search(r"^\W*(?:the |table of )*(?:contents|index|list of illus)", text, re.I | re.M):
        return text
    # Spaces that a paragraph of code begins with are kept from being taken for a blank line's.
    kept = re.sub(r"(?<=\n\n) +", lambda found: "\u00a0" * len(found[0]), text)
    return remove_contents(kept).replace("\u00a0", " ")


def tidy(text: str) -> str:
    """No spaces at the ends of lines, at most one blank line."""
    text = re.sub(r"[ \t]+$", "", text, flags=re.M)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


def tighten(text: str) -> str:
    """Tidy, and no blank lines between the items of a list and the rows of a table.

    >>> tighten("- oil\\n\\n- wick\\n\\nLight it.")
    '- oil\\n- wick\\n\\nLight it.'
    """
    return ADJACENT.sub(r"\1\2\3\n", tidy(text))


def unwrap(text: str) -> str:
    """The paragraphs of prose in one line each; verse, lists, tables and code as they are."""
    lengths = sorted(len(line) for line in text.split("\n") if line.strip())
    if not lengths:
        return text
    width = lengths[int(0.98 * (len(lengths) - 1))]
    if not NARROWEST <= width <= WIDEST:
        return text
    paragraphs = re.split(r"(\n[ \t]*(?:\n[ \t]*)+)", text)
    return "".join(
        part if place % 2 else unwrap_paragraph(part, width)
        for place, part in enumerate(paragraphs)
    )


def unwrap_paragraph(paragraph: str, width: int) -> str:
    """The paragraph in one line where its lines are full at this width."""
    lines = paragraph.split("\n")
    if len(lines) < 2 or CODE.search(paragraph) or any(map(ITEM.match, lines)):
        return paragraph
    if any(re.search(r"\S {3,}\S|\t", line) for line in lines):
        return paragraph
    full = sum(
        len(line) + 1 + len(after.split(maxsplit=1)[0]) > width - 2
        for line, after in pairwise(lines)
        if after.strip()
    )
    if full < FULL_SHARE * (len(lines) - 1):
        return paragraph
    return join_lines(lines).lstrip()


def join_lines(lines: Sequence[str]) -> str:
    """Lines as one, with a space between, but for scripts that put none between words."""
    parts = [lines[0].rstrip()]
    for line in map(str.strip, lines[1:]):
        parts += [glue(parts[-1], line), line]
    return "".join(parts)


def glue(text: str, line: str) -> str:
    """A space to join a line to the text before it; nothing between Chinese or Japanese."""
    return "" if text and line and _is_cjk(text[-1]) and _is_cjk(line[0]) else " "


def margins(pages: Sequence[Sequence[str]]) -> list[set[int]]:
    """Which lines of each page are running heads, running feet and page numbers.

    A line near an edge is one where, digits aside, a page in ten has it there, and three at least.
    """
    edges = [
        [
            place
            for place in range(len(page))
            if not MARGIN_LINES <= place < len(page) - MARGIN_LINES
        ]
        for page in pages
    ]
    seen = Counter(
        shape
        for page, places in zip(pages, edges, strict=True)
        for shape in {_shape(page[place]) for place in places}
    )
    often = max(FEWEST_PAGES, len(pages) / 10)

    def runs(line: str) -> bool:
        is_number = len(pages) >= FEWEST_PAGES and PAGE_NUMBER.fullmatch(line.strip())
        return seen[_shape(line)] >= often or bool(is_number)

    return [
        {place for place in places if runs(page[place])}
        for page, places in zip(pages, edges, strict=True)
    ]


def is_contents(lines: Sequence[str]) -> bool:
    """Whether most of a page's lines end in a page number after dots or a gap."""
    return len(lines) >= 4 and sum(bool(LEADERS.search(line)) for line in lines) > len(lines) / 2


def _shape(line: str) -> str:
    return re.sub(r"\d+|\b[ivxlc]+\b", "#", line.strip().lower())


def _is_cjk(character: str) -> bool:
    return "\u3000" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef"
