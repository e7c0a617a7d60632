"""The handwritten exam questions, which no training text may contain, whatever its case and marks.

A question of fewer than five words ("hi", "tell me a joke") is what everybody types: training holds
it too, so that only the wordings of five words and more are new to the model.
"""

import functools
import json
import string
from pathlib import Path

from nielsgpt.system.workspace import REPOSITORY

FOLDER = REPOSITORY / "data" / "exam"
FILES = ("first_words.jsonl", "far_questions.jsonl")
FEWEST_WORDS = 5
BARE = {ord(sign): " " for sign in string.punctuation if sign not in "+=-"}
BARE |= {ord(sign): "" for sign in "'\u2019"}
Words = list[str]


def plain(text: str) -> Words:
    """The words of the text in lower case, without marks."""
    return text.lower().translate(BARE).split()


def files(folder: Path = FOLDER) -> list[Path]:
    """The files of questions that there are."""
    return [folder / name for name in FILES if (folder / name).is_file()]


def stands_in(text: str) -> bool:
    """Whether a question of five words or more stands in the text."""
    words, by_start = plain(text), questions()
    return any(
        words[at : at + len(question)] == question
        for at in range(len(words) - FEWEST_WORDS + 1)
        for question in by_start.get(tuple(words[at : at + FEWEST_WORDS]), ())
    )


@functools.cache
def questions() -> dict[tuple[str, ...], list[Words]]:
    """Every question of five words or more, by its first five."""
    found: dict[tuple[str, ...], list[Words]] = {}
    for path in files():
        for line in filter(str.strip, path.read_text(encoding="utf-8").splitlines()):
            words = plain(json.loads(line)["messages"][-1]["content"])
            if len(words) >= FEWEST_WORDS:
                found.setdefault(tuple(words[:FEWEST_WORDS]), []).append(words)
    return found
