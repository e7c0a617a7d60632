"""A book in passages of 500 to 1000 words: whole paragraphs, but where one is very long."""

import re
from collections.abc import Iterator

FEWEST_WORDS = 500
BETWEEN_SENTENCES = re.compile(r"""(?:(?<=[.!?])|(?<=[.!?]["')])) +(?=["'(]?[A-Z])""")


def passages(text: str) -> Iterator[str]:
    """The text's paragraphs in passages, in order; no word is lost.

    Every passage has 500 to 999 words; only the last may have fewer. A paragraph of more than 500
    words is divided at the ends of its sentences.
    """
    held: list[str] = []
    words = 0
    for paragraph in text.split("\n\n"):
        for number, part in enumerate(_parts(paragraph)):
            if held:
                held.append(" " if number else "\n\n")
            held.append(part)
            words += len(part.split())
            if words >= FEWEST_WORDS:
                yield "".join(held)
                held, words = [], 0
    if words:
        yield "".join(held)


def _parts(paragraph: str) -> Iterator[str]:
    """The paragraph, or its sentences in parts of at most 500 words."""
    if len(paragraph.split()) <= FEWEST_WORDS:
        yield paragraph
        return
    held: list[str] = []
    for sentence in BETWEEN_SENTENCES.split(paragraph):
        words = sentence.split()
        if len(held) + len(words) > FEWEST_WORDS and held:
            yield " ".join(held)
            held = []
        held += words
        while len(held) > FEWEST_WORDS:
            yield " ".join(held[:FEWEST_WORDS])
            held = held[FEWEST_WORDS:]
    if held:
        yield " ".join(held)
