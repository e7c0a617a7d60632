"""Exam questions written by hand: data/exam/first_words.jsonl and data/exam/far_questions.jsonl.

    {"category": "greeting", "messages": [{"role": "user", "content": "hiya"}],
     "accept": ["hello", "{name}"], "reject": ["don't know"]}

A reply is right when it matches a pattern of `accept` and none of `reject`, whatever the case;
{name}, {dont_know} and {refuse} stand for the persona's own. A far question has messages alone, and
is right when the persona says that it does not know.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from nielsgpt.config.section import Section
from nielsgpt.conversation import Conversation, Message
from nielsgpt.data.primer.exam_items import MANNER_CHANCE, Item
from nielsgpt.data.primer.persona import Persona
from nielsgpt.errors import DataError
from nielsgpt.system.workspace import REPOSITORY

FOLDER = REPOSITORY / "data" / "exam"
SECTIONS = {"first words": "first_words.jsonl", "far questions": "far_questions.jsonl"}
FINAL_SHARE = 3  # one question of three is kept for `exam --final`


class Turn(Section):
    """A message of a question."""

    role: Literal["user", "assistant"]
    content: str = Field(min_length=1)


class Row(Section):
    """A line of a file."""

    category: str
    messages: tuple[Turn, ...] = Field(min_length=1)
    accept: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()


def items(persona: Persona, final: bool, folder: Path = FOLDER) -> list[Item]:
    """The questions of both sections, those kept for the final figure or the others.

    A section whose file is missing has none. Raises DataError naming the file and its line.
    """
    found = []
    for section, name in SECTIONS.items():
        for where, row in _rows(folder / name):
            digest = hashlib.sha256(row.messages[-1].content.encode()).digest()
            if (digest[0] % FINAL_SHARE == 0) == final:
                found.append(_item(section, row, persona, where))
    return found


def _item(section: str, row: Row, persona: Persona, where: str) -> Item:
    accept = row.accept or ("{dont_know}",)
    if section == "first words" and not row.accept:
        raise DataError(f"{where}: accept: a first word needs a pattern that is right")
    messages = [Message("system", persona.system)]
    messages += [Message(turn.role, turn.content) for turn in row.messages]
    right, wrong = (_fill(lines, persona, where) for lines in (accept, row.reject))
    conversation = Conversation(tuple(messages), "exam")
    return Item(section, conversation, (), MANNER_CHANCE, accept=right, reject=wrong)


def _fill(patterns: tuple[str, ...], persona: Persona, where: str) -> tuple[str, ...]:
    values = {
        "{name}": (persona.name,),
        "{dont_know}": persona.dont_know_markers,
        "{refuse}": persona.refusal_markers,
    }
    found = []
    for pattern in patterns:
        for slot, markers in values.items():
            pattern = pattern.replace(slot, f"(?:{'|'.join(map(re.escape, markers))})")
        try:
            re.compile(pattern)
        except re.error as error:
            raise DataError(f"{where}: {pattern!r} is no pattern ({error}); correct it") from None
        found.append(pattern)
    return tuple(found)


def _rows(path: Path) -> Iterator[tuple[str, Row]]:
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            yield where, Row.model_validate_json(json.dumps(json.loads(line)))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise DataError(f"{where}: {field}: {first['msg']}; correct it") from None
        except ValueError as error:
            raise DataError(f"{where}: is no JSON ({error}); correct it") from None
