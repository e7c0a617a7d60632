"""A book of Project Gutenberg as plain prose: paragraphs of one line, a blank line between them.

Each rule takes the whole text and returns it without one kind of thing that is not the book's own
prose, or with one thing written in one way. STEPS is the order in which they are applied.
"""

import re
from collections import Counter
from collections.abc import Callable

from nielsgpt.data.sources.gutenberg import body

BLANK = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
PART = r"(?:chapter|book|part|section|canto|act|scene|volume|vol|letter|epistle|ode|satire|fable)"
NUMERAL = r"(?:[ivxlcdm]+|\d+|one|two|three|four|five|six|seven|eight|nine|ten|the \w+)"
HEADING = re.compile(
    rf"(?i:{PART}\.? {NUMERAL})(?:[.:,;\n\u2014-].{{0,80}}| [A-Z].{{0,80}})?"
    rf"|(?i:{PART}\.?)|[IVXLCDM]+[.:]?|\d+[.:]?",
    re.S,
)
OF_CONTENTS = re.compile(
    r"(?:the )?(?:table of )?contents\.?|index\.?|list of illustrations\.?", re.I
)
OF_NOTES = re.compile(r"(?:foot|end)?notes(?: to .{0,60})?[.:]?|transcriber'?s notes?[.:]?", re.I)
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


def clean(text: str) -> str:
    """The book's prose. Empty when there is none."""
    for step in STEPS:
        text = step(text)
    return text.strip()


def normalize_line_ends(text: str) -> str:
    """Line ends \\n, no spaces before them."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(map(str.rstrip, lines))


def join_hyphenated(text: str) -> str:
    """Words that a line break divided, put together; the hyphen stays where the book spells the
    word with one elsewhere, and never without."""
    spelled = set(re.findall(r"\w+(?:-\w+)*", text))

    def joined(found: re.Match[str]) -> str:
        before, after = found.groups()
        hyphened, plain = f"{before}-{after}", before + after
        return hyphened if hyphened in spelled and plain not in spelled else plain

    return re.sub(r"\b(\w{1,40})-\n[ \t]*([a-z]\w*)", joined, text)


def remove_dedications(text: str) -> str:
    """No paragraph near either end that speaks of copyright or the public domain."""
    found = _paragraphs(text)
    last = len(found) - 1
    return "\n\n".join(
        paragraph
        for number, paragraph in enumerate(found)
        if not (min(number, last - number) < 20 and PUBLIC_DOMAIN.search(paragraph))
    )


def remove_contents(text: str) -> str:
    """No table of contents, index or list of illustrations: its heading, and the entries below."""
    kept, listing = [], False
    for paragraph in _paragraphs(text):
        lines = [line.strip() for line in paragraph.split("\n")]
        if OF_CONTENTS.fullmatch(lines[0]):
            listing = True
            lines = lines[1:]
        listing = listing and 2 * sum(map(_is_entry, lines)) >= len(lines)
        if not listing:
            kept.append(paragraph)
    return "\n\n".join(kept)


def remove_notes(text: str) -> str:
    """No footnotes, and no section of notes up to the next heading. A paragraph that opens with [7]
    is a note only if something else refers to it; else it is the seventh of the book."""
    cited = set(CITED.findall(text))
    kept, inside = [], False
    for paragraph in _paragraphs(text):
        plain = paragraph.strip()
        if OF_NOTES.fullmatch(plain.split("\n")[0]):
            inside = True
        elif inside and _is_heading(plain):
            inside = False
        note = NOTE.match(plain)
        if not inside and not (note and (note.group(1) is None or note.group(1) in cited)):
            kept.append(paragraph)
    return "\n\n".join(kept)


def remove_brackets(text: str) -> str:
    """Nothing in square brackets or braces, which hold editors' words and numbers of pages."""
    for _ in range(3):
        text = re.sub(r"\[[^\[\]]{0,3000}\]|\{[^{}]{0,3000}\}", "", text)
    return re.sub(r"[\[\]{}]", "", text)


def remove_italics(text: str) -> str:
    """No underscores around what was printed in italics."""
    return text.replace("_", "")


def remove_line_numbers(text: str) -> str:
    """No numbers in the margin of verse, and no lines that are a number alone."""
    text = re.sub(r"^[ \t]*\(?\d{1,5}\)?[ \t]*$", "", text, flags=re.M)
    return re.sub(r"(?<=\S)[ \t]{2,}\d{1,5}$|^[ \t]*\d{1,5}[ \t]{2,}(?=\S)", "", text, flags=re.M)


def remove_headings(text: str) -> str:
    """No paragraph that is a heading: a part's name and numeral, or a line in capitals."""
    return "\n\n".join(p for p in _paragraphs(text) if not _is_heading(p.strip()))


def remove_speakers(text: str) -> str:
    """No name of who speaks before what is said, where a name opens five paragraphs or more."""
    counted = Counter(name for name, mark in LABEL.findall(text) if mark == ":" or name.isupper())

    def spoken(found: re.Match[str]) -> str:
        return "" if counted[found.group(1)] >= FEWEST_TURNS else found.group()

    return LABEL.sub(spoken, text)


def join_lines(text: str) -> str:
    """Every paragraph in one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in _paragraphs(text))


def simplify_punctuation(text: str) -> str:
    """Straight quotation marks, two hyphens for a dash, three dots, no space before a mark."""
    text = re.sub(r" {2,}", " ", text.translate(MARKS))
    text = re.sub(r"\.(?: ?\.){2,}", "...", re.sub(r"-{2,}", "--", text))
    return re.sub(r" ([,;:!?]|\.(?!\.))", r"\1", text)


def capitalize_i(text: str) -> str:
    """The word I in its capital, where a copy lost it; not the numeral of `i.` or `(i)`."""
    return re.sub(r"(?<![\w.'(-])i(?![\w.)-])", "I", text)


def remove_blanks(text: str) -> str:
    """No paragraph without a letter."""
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
    body,
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
