"""Extract the book from a Project Gutenberg file, without its header and license."""

import re

START = re.compile(
    r"^[^\n]*\*{3} ?START OF (?:THE|THIS) PROJECT GUTENBERG(?:[^*]{0,200}\*{3})?[^\n]*\n",
    re.M | re.I,
)
END = re.compile(
    r"^[^\n]*\*{3} ?END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|^ *end of (?:the |this )?project gutenberg"
    r"|^ *\*{0,3} ?START: FULL LICENSE",
    re.M | re.I,
)
SMALL_PRINT = re.compile(r"^.*\*END\*? ?THE SMALL PRINT[^\n]*\n", re.M | re.I)
LICENCE = re.compile(r"project gutenberg|gutenberg\.(?:org|net)|etext|e-text", re.I)
CREDIT = re.compile(
    r"^(?:this (?:e-?text|e-?book)|(?:e-?text |transcribed |scanned |proofed )?"
    r"(?:produced|prepared|transcribed|scanned|digitized) by|e-?text (?:prepared|produced))\b",
    re.I,
)
HEAD_CHARACTERS = 12_000


def extract_body(text: str) -> str:
    """The text between the START and END lines.

    Without these lines, the text after the last paragraph about the license near the top.

    >>> extract_body("*** START OF THE PROJECT GUTENBERG EBOOK ***\\nA.\\nEnd of Project Gutenberg")
    'A.'
    """
    starts = list(START.finditer(text, 0, HEAD_CHARACTERS)) or list(
        SMALL_PRINT.finditer(text, 0, 3 * HEAD_CHARACTERS)
    )
    text = text[starts[-1].end() :] if starts else text
    end = END.search(text)
    text = text[: end.start()] if end else text
    return _remove_credits(text[0 if starts else _find_licence_end(text) :].strip("\n"))


def _find_licence_end(text: str) -> int:
    """The end of the last paragraph near the top that names Project Gutenberg."""
    place = passed = 0
    for paragraph in text[:HEAD_CHARACTERS].split("\n\n")[:-1]:
        passed += len(paragraph) + 2
        place = passed if LICENCE.search(paragraph) else place
    return place


def _remove_credits(text: str) -> str:
    """Remove the leading paragraphs that credit the producers of the file."""
    while True:
        first, blank, rest = text.partition("\n\n")
        if not (blank and CREDIT.match(first.strip())):
            return text
        text = rest.lstrip("\n")
