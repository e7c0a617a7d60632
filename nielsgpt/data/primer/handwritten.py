"""Exam questions written by hand: data/exam/first_words.jsonl and data/exam/far_questions.jsonl.

    {"category": "greeting", "messages": [{"role": "user", "content": "hiya"}],
     "accept": ["hello", "{name}"], "reject": ["don't know"]}

A reply is right when it matches a pattern of `accept` and none of `reject`, whatever the case;
{name}, {dont_know} and {refuse} stand for the persona's own. A far question has messages alone, and
is right when the persona says that it does not know: always saying so scores 100 %, so read it
together with the known facts. Lines 3, 6, 9, ... of a file are kept for `exam --final`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from nielsgpt.config.section import Section
from nielsgpt.conversation import Conversation, Message
from nielsgpt.data.primer.exam_items import Item
from nielsgpt.data.primer.persona import Persona
from nielsgpt.data.primer.withheld import FILES, FOLDER
from nielsgpt.errors import DataError

SECTIONS = dict(zip(("first words", "far questions"), FILES, strict=True))
FINAL_EVERY = 3  # line 3, 6, 9, ... of a file is kept for `exam --final`


class HandwrittenMessage(Section):
    """A message of a question."""

    role: Literal["user", "assistant"]
    content: str = Field(min_length=1)


class HandwrittenQuestion(Section):
    """A line of a file."""

    category: str
    messages: tuple[HandwrittenMessage, ...] = Field(min_length=1)
    accept: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()


def items(
    persona: Persona, final: bool, folder: Path = FOLDER, most: int | None = None
) -> list[Item]:
    """The questions of both sections, those kept for the final figure or the others.

    At most the first `most` of a section; one whose file is missing has none. Raises DataError
    naming the file and its line.
    """
    found: list[Item] = []
    for section, name in SECTIONS.items():
        chosen = []
        for number, row in _rows(folder / name):
            item = _item(section, row, persona, f"{folder / name}: line {number}")
            if (number % FINAL_EVERY == 0) == final:
                chosen.append(item)
        found += chosen[:most]
    return found


def _item(section: str, row: HandwrittenQuestion, persona: Persona, where: str) -> Item:
    accept = row.accept or ("{dont_know}",)
    if section == "first words" and not row.accept:
        raise DataError(f"{where}: accept: a first word needs at least one accepted pattern")
    messages = [Message("system", persona.system)]
    messages += [Message(turn.role, turn.content) for turn in row.messages]
    right, wrong = (_fill(lines, persona, where) for lines in (accept, row.reject))
    conversation = Conversation(tuple(messages), "exam")
    chance = 1.0 if section == "far questions" else None
    return Item(section, conversation, (), chance, accept=right, reject=wrong)


def _fill(patterns: tuple[str, ...], persona: Persona, where: str) -> tuple[str, ...]:
    values = {
        "{name}": f"(?:{re.escape(persona.name)})",
        "{dont_know}": _whole(persona.dont_know_markers),
        "{refuse}": _whole(persona.refusal_markers),
    }
    found = []
    for pattern in patterns:
        for slot, value in values.items():
            pattern = pattern.replace(slot, value)
        try:
            re.compile(pattern)
        except re.error as error:
            raise DataError(
                f"{where}: {pattern!r} is not a valid pattern ({error}); correct it"
            ) from None
        found.append(pattern)
    return tuple(found)


def _whole(lines: tuple[str, ...]) -> str:
    """One of these lines from its first word to its last, where a clause ends."""
    return rf"(?<!\w)(?:{'|'.join(map(re.escape, lines))})(?=[.!?,;]|\s*$)"


def _rows(path: Path) -> Iterator[tuple[int, HandwrittenQuestion]]:
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            yield number, HandwrittenQuestion.model_validate_json(json.dumps(json.loads(line)))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise DataError(f"{where}: {field}: {first['msg']}; correct it") from None
        except ValueError as error:
            raise DataError(f"{where}: is not JSON ({error}); correct it") from None
