"""Convert a Project Gutenberg book to plain prose: paragraphs as lines, blank lines between.

Each step takes the whole text and removes one kind of text that is not prose, or normalizes one
aspect of it. STEPS is the order of the steps.
"""

import re
from collections import Counter
from collections.abc import Callable

from nielsgpt.data.sources.gutenberg import extract_body

BLANK = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
PART = r"(?:chapter|book|part|section|canto|act|scene|volume|vol|letter|epistle|ode|satire|fable)"
NUMERAL = r"(?:[ivxlcdm]+|\d+|one|two|three|four|five|six|seven|eight|nine|ten|the \w+)"
HEADING = re.compile(
    rf"(?i:{PART}\.? {NUMERAL})(?:[.:,;\n\u2014-].{{0,80}}| [A-Z].{{0,80}})?"
    rf"|(?i:{PART}\.?)|[IVXLCDM]+[.:]?|\d+[.:]?",
    re.S,
)
CONTENTS_HEADING = re.compile(
    r"(?:the )?(?:table of )?contents\.?|index\.?|list of illustrations\.?", re.I
)
NOTES_HEADING = re.compile(
    r"(?:foot|end)?notes(?: to .{0,60})?[.:]?|transcriber'?s notes?[.:]?", re.I
)
ENTRY = re.compile(
    rf"{PART}\b|[ivxlcdm]+[.):]\s|\d+[.)]?\s|.*?(?:\.\s?\.|\s\s)\s*(?:\d+|[ivxlc]+)$", re.I
)
NOTE = re.compile(r"\[?(?:foot)?note\b[ \d*:.]*[:.]|[*\u2020\u2021]+ |\[(\d+)\]", re.I)
CITED = re.compile(r"(?<=\S)[ \n]?\[(\d+)\]")
PUBLIC_DOMAIN = re.compile(r"public domain|copyright|creative commons", re.I)
SENTENCE_END = tuple(".!?\"':;,\u201d\u2019")
LABEL = re.compile(r"(?:^|(?<=\n\n))([A-Z][A-Z]+(?: [A-Z]+)?|[A-Z][a-z]{2,15})([.:]) (?=\S)")
FEWEST_TURNS = 5
MARKS = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u0060\u00b4", "'"),
        **dict.fromkeys("\u2010\u2011\u2012", "-"),
        **dict.fromkeys("\u2013\u2014\u2015", "--"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f\t\f\v", " "),
        **dict.fromkeys("\u00ad\u200b\ufeff", ""),
        "\u2026": "...",
    }
)


def clean_book(text: str) -> str:
    """The prose of the book; empty if there is no prose."""
    for step in STEPS:
        text = step(text)
    return text.strip()


def normalize_line_ends(text: str) -> str:
    """Convert line ends to \\n and strip trailing spaces."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(map(str.rstrip, lines))


def join_hyphenated(text: str) -> str:
    """Join words hyphenated at line ends; keep hyphens that the book always uses elsewhere."""
    spelled = set(re.findall(r"\w+(?:-\w+)*", text))

    def join(found: re.Match[str]) -> str:
        before, after = found.groups()
        hyphened, plain = f"{before}-{after}", before + after
        return hyphened if hyphened in spelled and plain not in spelled else plain

    return re.sub(r"\b(\w{1,40})-\n[ \t]*([a-z]\w*)", join, text)


def remove_dedications(text: str) -> str:
    """Remove paragraphs near either end that mention copyright or the public domain."""
    found = _paragraphs(text)
    last = len(found) - 1
    return "\n\n".join(
        paragraph
        for number, paragraph in enumerate(found)
        if not (min(number, last - number) < 20 and PUBLIC_DOMAIN.search(paragraph))
    )


def remove_contents(text: str) -> str:
    """Remove tables of contents, indexes and lists of illustrations, with their headings."""
    kept, listing = [], False
    for paragraph in _paragraphs(text):
        lines = [line.strip() for line in paragraph.split("\n")]
        if CONTENTS_HEADING.fullmatch(lines[0]):
            listing = True
            lines = lines[1:]
        listing = listing and 2 * sum(map(_is_entry, lines)) >= len(lines)
        if not listing:
            kept.append(paragraph)
    return "\n\n".join(kept)


def remove_notes(text: str) -> str:
    """Remove footnotes, and sections of notes up to the next heading.

    A paragraph that begins with [7] is a note only if the text cites it.
    """
    cited = set(CITED.findall(text))
    kept, inside = [], False
    for paragraph in _paragraphs(text):
        plain = paragraph.strip()
        if NOTES_HEADING.fullmatch(plain.split("\n")[0]):
            inside = True
        elif inside and _is_heading(plain):
            inside = False
        note = NOTE.match(plain)
        if not inside and not (note and (note.group(1) is None or note.group(1) in cited)):
            kept.append(paragraph)
    return "\n\n".join(kept)


def remove_brackets(text: str) -> str:
    """Remove text in square brackets or braces: editors' notes and page numbers."""
    for _ in range(3):
        text = re.sub(r"\[[^\[\]]{0,3000}\]|\{[^{}]{0,3000}\}", "", text)
    return re.sub(r"[\[\]{}]", "", text)


def remove_italics(text: str) -> str:
    """Remove the underscores that mark italics."""
    return text.replace("_", "")


def remove_line_numbers(text: str) -> str:
    """Remove line numbers of verse, and lines that are only a number."""
    text = re.sub(r"^[ \t]*\(?\d{1,5}\)?[ \t]*$", "", text, flags=re.M)
    return re.sub(r"(?<=\S)[ \t]{2,}\d{1,5}$|^[ \t]*\d{1,5}[ \t]{2,}(?=\S)", "", text, flags=re.M)


def remove_headings(text: str) -> str:
    """Remove headings: the name and numeral of a part, or a line in capitals."""
    return "\n\n".join(p for p in _paragraphs(text) if not _is_heading(p.strip()))


def remove_speakers(text: str) -> str:
    """Remove speakers' names that open at least five paragraphs."""
    counted = Counter(name for name, mark in LABEL.findall(text) if mark == ":" or name.isupper())

    def spoken(found: re.Match[str]) -> str:
        return "" if counted[found.group(1)] >= FEWEST_TURNS else found.group()

    return LABEL.sub(spoken, text)


def join_lines(text: str) -> str:
    """Join the lines of each paragraph."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in _paragraphs(text))


def simplify_punctuation(text: str) -> str:
    """Use straight quotes, -- and ..., and remove spaces before punctuation."""
    text = re.sub(r" {2,}", " ", text.translate(MARKS))
    text = re.sub(r"\.(?: ?\.){2,}", "...", re.sub(r"-{2,}", "--", text))
    return re.sub(r" ([,;:!?]|\.(?!\.))", r"\1", text)


def capitalize_i(text: str) -> str:
    """Capitalize the word I, but not the numerals in `i.` and `(i)`."""
    return re.sub(r"(?<![\w.'(-])i(?![\w.)-])", "I", text)


def remove_blanks(text: str) -> str:
    """Remove paragraphs without letters."""
    return "\n\n".join(p for p in _paragraphs(text) if any(map(str.isalpha, p)))


def _paragraphs(text: str) -> list[str]:
    return [paragraph for paragraph in BLANK.split(text.strip("\n")) if paragraph.strip()]


def _is_heading(paragraph: str) -> bool:
    words = paragraph.split()
    if len(words) > 20:
        return False
    letters = [letter for letter in paragraph if letter.isalpha()]
    capitals = bool(letters) and not any(map(str.islower, letters))
    # A lone word of prose in capitals ends like a sentence: "NO!"
    shouted = capitals and len(words) < 3 and paragraph.endswith(("!", "?", '"'))
    return (capitals and not shouted) or bool(HEADING.fullmatch(paragraph))


def _is_entry(line: str) -> bool:
    if len(line) > 200:
        return False
    titled = len(line.split()) <= 12 and not line.endswith(SENTENCE_END)
    return titled or bool(ENTRY.match(line))


STEPS: tuple[Callable[[str], str], ...] = (
    normalize_line_ends,
    extract_body,
    join_hyphenated,
    remove_dedications,
    remove_contents,
    remove_notes,
    remove_brackets,
    remove_italics,
    remove_line_numbers,
    remove_headings,
    simplify_punctuation,
    join_lines,
    remove_speakers,
    capitalize_i,
    remove_blanks,
)
