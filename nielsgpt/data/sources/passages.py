"""Cut a book into passages of 500 to 1000 words, of whole paragraphs unless one is very long."""

import re
from collections.abc import Iterator

MIN_WORDS = 500
BETWEEN_SENTENCES = re.compile(r"""(?:(?<=[.!?])|(?<=[.!?]["')])) +(?=["'(]?[A-Z])""")


def cut_passages(text: str) -> Iterator[str]:
    """Cut the text into passages, in order, without losing a word.

    Every passage has 500 to 999 words; only the last may have fewer. A paragraph of more than 500
    words is split between sentences.
    """
    parts: list[str] = []
    words = 0
    for paragraph in text.split("\n\n"):
        for number, part in enumerate(_split_paragraph(paragraph)):
            if parts:
                parts.append(" " if number else "\n\n")
            parts.append(part)
            words += len(part.split())
            if words >= MIN_WORDS:
                yield "".join(parts)
                parts, words = [], 0
    if words:
        yield "".join(parts)


def _split_paragraph(paragraph: str) -> Iterator[str]:
    """The paragraph, or groups of its sentences of at most 500 words."""
    if len(paragraph.split()) <= MIN_WORDS:
        yield paragraph
        return
    parts: list[str] = []
    for sentence in BETWEEN_SENTENCES.split(paragraph):
        words = sentence.split()
        if len(parts) + len(words) > MIN_WORDS and parts:
            yield " ".join(parts)
            parts = []
        parts += words
        while len(parts) > MIN_WORDS:
            yield " ".join(parts[:MIN_WORDS])
            parts = parts[MIN_WORDS:]
    if parts:
        yield " ".join(parts)
