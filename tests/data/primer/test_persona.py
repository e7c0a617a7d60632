"""A persona file: small ones suffice, every language reads the same, a mistake names its field."""

import itertools
import json
import re
from pathlib import Path

import pytest

from nielsgpt.data.primer.dialogues import dialogues
from nielsgpt.data.primer.exam_items import items
from nielsgpt.data.primer.facts import Fact
from nielsgpt.data.primer.persona import Persona, load_persona
from nielsgpt.data.primer.stories import prose
from nielsgpt.errors import DataError
from nielsgpt.system.workspace import REPOSITORY

TINY = {
    "name": "Vera",
    "about": "a patient gardener",
    "facts": [
        {"question": "When do I plant beans?", "answer": "In May."},
        {"relation": "color", "subject": "the shed", "answer": "green"},
        {"relation": "color", "subject": "the gate", "answer": "blue"},
        {"relation": "self", "subject": "favourite tree", "answer": "the birch"},
        {"relation": "neighbour", "subject": "the pond", "answer": "the old well"},
    ],
}
SHIPPED = sorted(path.name for path in (REPOSITORY / "personas").glob("*.json"))


def load(folder: Path, **fields: object) -> Persona:
    (folder / "vera.json").write_text(json.dumps({**TINY, **fields}), encoding="utf-8")
    return load_persona("vera.json", folder)


def everything(persona: Persona) -> str:
    """A small corpus of the persona, prose and dialogues."""
    said = [m.content for c in itertools.islice(dialogues(persona, 0), 2000) for m in c.messages]
    return "\n".join([*itertools.islice(prose(persona, 0), 500), *said])


def test_a_name_a_sentence_and_five_facts_are_a_persona(tmp_path: Path) -> None:
    vera = load(tmp_path)
    text = everything(vera)
    assert vera.system == "You are Vera, a patient gardener."
    assert "{" not in text and "Niels" not in text and "lighthouse" not in text
    for answer in ("In May.", "green", "blue", "the birch", "the old well", "Vera"):
        assert answer.lower() in text.lower()


def test_no_exam_question_of_a_small_persona_stands_in_its_training_text(tmp_path: Path) -> None:
    vera = load(tmp_path)
    text = everything(vera).lower()
    asked = [item.conversation.messages[-1].content for item in items(vera, 0, 20)]
    assert len(asked) > 40
    assert [question for question in asked if question.lower() in text] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_persona_fills_every_slot_of_its_language(name: str) -> None:
    persona = load_persona(f"personas/{name}")
    assert "{" not in everything(persona)
    assert len(items(persona, 0, 10)) >= 30


def test_its_own_lines_replace_what_it_says_and_add_to_what_it_is_asked(tmp_path: Path) -> None:
    vera = load(
        tmp_path,
        manner="warm",
        dont_know=["The beans may know."],
        refuse=["Not over the fence."],
        replies={"greeting": ["Mind the roses."]},
        examples=[["Who waters you?", "The rain does."]],
    )
    text = everything(vera)
    assert "Mind the roses." in text and "The rain does." in text
    replies = {m.content for c in itertools.islice(dialogues(vera, 0), 2000) for m in c.messages}
    assert "I don't know." not in replies and "The beans may know." in replies
    assert vera.dont_know_markers == ("The beans may know",)
    assert vera.refusal_markers == ("Not over the fence",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("more.csv", "subject,relation,answer\nthe rake,place,behind the door\n"),
        ("more.jsonl", '{"subject": "the rake", "relation": "place", "answer": "behind the door"}'),
    ],
)
def test_facts_come_from_tables_too(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    vera = load(tmp_path, facts_from=[name])
    assert Fact("place", "the rake", "behind the door") in vera.facts


def test_questions_and_answers_come_from_tables(tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("question,answer\nWho digs?,The mole.\n", encoding="utf-8")
    assert (
        Fact("question", "Who digs?", "The mole.") in load(tmp_path, facts_from=["more.csv"]).facts
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nmae": "Vera"}, r"vera\.json: nmae: "),
        ({"name": ""}, r"vera\.json: name: "),
        ({"manner": "rude"}, r"vera\.json: manner: "),
        ({"facts": [{"subject": "the shed", "answer": "green"}]}, r"vera\.json: facts\.0: "),
        ({"facts": [{"question": "Who?", "answer": ""}]}, r"vera\.json: facts\.0\.answer: "),
        ({"replies": {"greting": ["Hi."]}}, r"vera\.json: replies\.greting: known are greeting"),
        ({"wordings": {"far": 3}}, r"vera\.json: far: "),
        ({"language": "klingon"}, r"vera\.json: language names 'wordings/klingon\.json'"),
        ({"facts_from": ["nowhere.csv"]}, r"vera\.json: facts_from names 'nowhere\.csv'"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_field(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path, **fields)
    assert "\n" not in str(caught.value)


def test_a_missing_persona_is_named_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.primer\.persona names 'nobody\.json'"):
        load_persona("nobody.json", tmp_path)


@pytest.mark.parametrize(
    ("field", "wordings"),
    [
        ("wordings: talk.greeting.user", {"talk": {"greeting": {"user": ["hi {nobody}"]}}}),
        ("wordings: kernel", {"kernel": "{person} saw {"}),
        ("wordings: relations.capital.replies", {"relations": {"capital": {"replies": ["{p}"]}}}),
        ("wordings: manners.private.requests", {"manners": {"private": {"requests": ["{x}"]}}}),
    ],
)
def test_a_slot_that_nothing_fills_is_named(tmp_path: Path, field: str, wordings: object) -> None:
    fact = {"question": "Why?", "answer": "So."}
    tree = {"name": "Vera", "about": "a gardener", "facts": [fact], "wordings": wordings}
    (tmp_path / "vera.json").write_text(json.dumps(tree), encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(f"vera.json: {field}: ")):
        load_persona("vera.json", tmp_path)
