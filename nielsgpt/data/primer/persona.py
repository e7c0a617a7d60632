"""A persona: who answers, in which manner and language, and the facts that it knows, from a file.

    {"name": "Vera", "about": "a patient gardener", "facts": [
        {"question": "When do I plant beans?", "answer": "In May."},
        {"relation": "color", "subject": "the shed", "answer": "green"}]}

is a whole persona file. Everything else has defaults, which personas/wordings/<language>.json
holds; what a persona says under `wordings` is added to them, what it says elsewhere replaces them.
"""

import csv
import json
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from nielsgpt.config.section import Section
from nielsgpt.data.primer.facts import Fact, load_facts
from nielsgpt.errors import DataError
from nielsgpt.system.workspace import REPOSITORY

Text = Annotated[str, Field(min_length=1, pattern=r"^\S([^\n]*\S)?$")]
Name = Annotated[str, Field(max_length=40, pattern=r"^[^\s{}][^\n{}]*$")]
Lines = tuple[Text, ...]
SectionT = TypeVar("SectionT", bound=Section)
# The slots that the lines of a field of the wordings may name; _CAST stands for the lexicons too.
_FACT = "name about Name s r o an ao x y"
_CAST = "name about Name invented letters digits year dont_know"
SLOTS = {
    **dict.fromkeys(("relations", "any_relation", "question", "follow_up"), _FACT),
    **dict.fromkeys(
        ("openers", "closers", "held_out_openers", "talk_before", "talk_after"), "name"
    ),
    **dict.fromkeys(("system", "other_systems"), "name about"),
    "manners": "t name",
    "premise": "claim reply",
    "kernel": _CAST,
    "long": f"{_CAST} kernel",
    "far": f"{_CAST} s",
    "recall": f"{_CAST} s",
    "paste": f"{_CAST} text",
    "talk": f"{_CAST} Letters",
    "stories": f"{_CAST} statement statement_comma question question_comma reply reply_comma",
}


class FactEntry(Section):
    """A fact of a persona file: subject, relation and answer, or a question and its answer."""

    answer: Text
    subject: Text = ""
    relation: Text = ""
    question: Text = ""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.question) == bool(self.subject and self.relation):
            raise ValueError("needs subject and relation, or question")
        return self

    def fact(self) -> Fact:
        """The entry as a fact; a question is a relation of its own."""
        if self.question:
            return Fact("question", self.question, self.answer)
        return Fact(self.relation, self.subject, self.answer)


class Relation(Section):
    """The lines of one relation, with {placeholders}; `3| text` weighs a line three times."""

    statements: Lines
    questions: Lines
    held_out: Lines
    replies: Lines


class Manner(Section):
    """One way to talk without a fact: {t} in requests and replies stands for the topic."""

    topics: Lines = ()
    requests: Lines
    held_out: Lines
    replies: Lines = ()
    accepted: Lines = ()


class Talk(Section):
    """A message of a first conversation, and the reply of each manner; a heavier one is more
    often drawn."""

    weight: Annotated[int, Field(ge=1)] = 12
    user: Lines
    terse: Lines
    warm: Lines = ()
    formal: Lines = ()


class Premise(Section):
    """How a claim is put to the persona, and how it confirms or corrects it."""

    user: Lines
    right: Lines
    wrong: Lines


class Wordings(Section):
    """Everything that depends on the language, from personas/wordings/<language>.json."""

    articles: dict[str, str] = Field({})
    own_name: Text
    system: Text
    other_systems: Lines
    please: str
    contractions: dict[str, str] = Field({})
    number_words: dict[str, Lines] = Field({})
    openers: Lines
    closers: Lines
    held_out_openers: Lines
    dont_know: Lines
    refuse: Lines
    relations: dict[str, Relation] = Field({})
    any_relation: Relation
    question: Relation
    manners: dict[str, Manner]
    kernel: Text
    long: Text
    far: Lines
    premise: Premise
    follow_up: Lines
    recall: Talk
    paste: Talk
    talk: dict[str, Talk]
    talk_before: Lines = ()
    talk_after: Lines = ()
    stories: dict[str, Lines]
    lexicons: dict[str, Lines]
    syllables: Lines


class PersonaFile(Section):
    """The fields of a persona file."""

    name: Name
    about: Text
    manner: Literal["terse", "warm", "formal"] = "terse"
    language: Annotated[str, Field(pattern=r"^[A-Za-z-]+$")] = "english"
    system: Text = ""
    dont_know: Lines = ()
    refuse: Lines = ()
    private: Lines = ()
    unknown: Lines = ()
    replies: dict[str, Lines] = Field({})
    examples: tuple[tuple[Text, Text], ...] = ()
    facts: tuple[FactEntry, ...] = ()
    facts_from: tuple[Text, ...] = ()
    wordings: dict[str, Any] = Field({})


@dataclass(frozen=True, eq=False)
class Persona:
    """A persona with its wordings filled in and its facts read."""

    name: str
    about: str
    manner: str
    system: str
    replies: Mapping[str, Lines]
    wordings: Wordings
    facts: tuple[Fact, ...]
    files: tuple[Path, ...]

    @property
    def dont_know_markers(self) -> tuple[str, ...]:
        """The patterns of a reply that does not know."""
        return _markers(self.wordings.dont_know)

    @property
    def refusal_markers(self) -> tuple[str, ...]:
        """The patterns of a refusal."""
        return _markers(self.wordings.refuse)


def load_persona(name: str, root: Path = REPOSITORY) -> Persona:
    """The persona of this file under `root`, else under the repository.

    Raises DataError naming the file and the field that is wrong.
    """
    path = _locate(name, "data.primer.persona", root, REPOSITORY)
    file = _validate(PersonaFile, _read_json(path), path)
    shelf = f"wordings/{file.language}.json"
    words_path = _locate(shelf, f"{path}: language", path.parent, REPOSITORY / "personas")
    tree = _add(_read_json(words_path), _own_wordings(file), str(path))
    wordings = _validate(Wordings, tree, path if file.wordings else words_path)
    _check_slots(tree, wordings.lexicons, f"{path}: wordings")
    _check_slots({"talk": file.model_dump()["replies"]}, wordings.lexicons, f"{path}: replies")
    for intent in file.replies:
        if intent not in wordings.talk:
            raise DataError(f"{path}: replies.{intent}: known are {', '.join(wordings.talk)}")
    fact_paths = [
        _locate(given, f"{path}: facts_from", path.parent, root, REPOSITORY)
        for given in file.facts_from
    ]
    facts = [fact for each in fact_paths for fact in _read_facts(each)]
    facts += [entry.fact() for entry in file.facts]
    told = {(fact.relation, fact.subject): fact for fact in facts}
    own_name = wordings.own_name
    told.setdefault(("self", own_name), Fact("self", own_name, file.name))
    values = {"name": file.name, "about": file.about}
    system = file.system or wordings.system.format_map(values)
    return Persona(
        file.name,
        file.about,
        file.manner,
        system,
        file.replies,
        wordings,
        tuple(told.values()),
        (path, words_path, *fact_paths),
    )


def _own_wordings(file: PersonaFile) -> dict[str, Any]:
    """The persona's additions to the wordings of its language."""
    own: dict[str, Any] = json.loads(json.dumps(file.wordings))
    for field in ("dont_know", "refuse"):
        if getattr(file, field):
            own[f"={field}"] = list(getattr(file, field))
    manners = own.setdefault("manners", {})
    for field, manner in (("private", "private"), ("unknown", "self_unknown")):
        if getattr(file, field):
            manners.setdefault(manner, {})["topics"] = list(getattr(file, field))
    talk = own.setdefault("talk", {})
    for number, (user, reply) in enumerate(file.examples):
        talk[f"example_{number}"] = {"user": [user], "terse": [reply]}
    return own


def _add(below: Any, above: Any, where: str) -> Any:
    """`above` added to `below`: dicts key by key, lists behind each other, `=key` replaces."""
    if isinstance(below, dict) and isinstance(above, dict):
        merged = dict(below)
        for key, value in above.items():
            if key.startswith("="):
                merged[key[1:]] = value
            else:
                merged[key] = _add(merged[key], value, where) if key in merged else value
        return merged
    if isinstance(below, list) and isinstance(above, list):
        return [*below, *above]
    return above


def _read_facts(path: Path) -> Iterator[Fact]:
    """The facts of a .json, .csv or .jsonl file."""
    if path.suffix == ".json":
        yield from load_facts(path)
        return
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".csv":
                rows: list[Any] = list(csv.DictReader(file))
            else:
                rows = [json.loads(line) for line in file if line.strip()]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as {path.suffix or 'facts'} ({error})") from error
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict):
            row = {key: value for key, value in row.items() if value}
        yield _validate(FactEntry, row, f"{path}: fact {number}").fact()


def _locate(name: str, field: str, *folders: Path) -> Path:
    for folder in folders:
        path = folder / name
        if path.is_file():
            return path
    raise DataError(f"{field} names {name!r}, which is not in {folders[0]}; correct the path")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); correct the file") from error


def _validate(kind: type[SectionT], tree: Any, where: Path | str) -> SectionT:
    try:
        return kind.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(
            f"{where}: {field}: {first['msg']} (given: {str(first['input'])[:60]!r}); "
            "docs/persona.md lists the fields"
        ) from None


def _check_slots(tree: Any, lexicons: Mapping[str, Lines], where: str) -> None:
    """Raises DataError naming the field of a line with a slot that nothing fills."""
    for field, known in SLOTS.items():
        names = {*known.split(), *(lexicons if _CAST in known else ())}
        for place, line in _lines(tree.get(field, ()), field):
            try:
                slots = [slot for _, slot, _, _ in string.Formatter().parse(line)]
            except ValueError as error:
                raise DataError(f"{where}: {place}: {line!r}: {error}; close the brace") from None
            for slot in slots:
                if slot is not None and not {slot, slot.rstrip("0123456789")} & names:
                    shown = f"{{{slot}}} in {line!r}"
                    known_here = ", ".join(sorted(names))
                    raise DataError(f"{where}: {place}: nothing fills {shown}; use {known_here}")


def _lines(tree: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every line of the tree with its dotted place."""
    if isinstance(tree, str):
        yield place, tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from _lines(value, f"{place}.{key}")
    elif not isinstance(tree, int):
        for value in tree:
            yield from _lines(value, place)


def _markers(lines: Lines) -> tuple[str, ...]:
    """The lines as they are said, without their weight and the last full stop."""
    return tuple(re.sub(r"^\d+\| ", "", line).strip(" .!?") for line in lines)
