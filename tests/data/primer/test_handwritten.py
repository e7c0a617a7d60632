"""Handwritten exam questions: read by line, marked by their patterns, two thirds for every day."""

import json
from pathlib import Path

import pytest

from nielsgpt.data.primer import handwritten
from nielsgpt.data.primer.exam_items import correct
from nielsgpt.data.primer.persona import load_persona
from nielsgpt.errors import DataError

PERSONA = load_persona("personas/niels.json")


def write(folder: Path, name: str, *rows: object) -> None:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


def row(text: str, **more: object) -> dict[str, object]:
    return {"category": "any", "messages": [{"role": "user", "content": text}], **more}


def test_patterns_decide_with_the_personas_own_words_in_them(tmp_path: Path) -> None:
    write(tmp_path, "first_words", row("who?", accept=["i am {name}", "{refuse}"], reject=["sea"]))
    write(tmp_path, "far_questions", row("who made the moon?"))
    both = handwritten.items(PERSONA, True, tmp_path) + handwritten.items(PERSONA, False, tmp_path)
    first, far = sorted(both, key=lambda item: item.section, reverse=True)
    assert correct(first, "I am Niels.") and correct(first, "No. That is private.")
    assert not correct(first, "I am Niels by the sea.") and not correct(first, "")
    assert correct(far, "I don't know. Nobody does.") and not correct(far, "A beaver.")
    assert first.conversation.messages[0].content == PERSONA.system


def test_every_question_is_asked_daily_or_at_the_end_and_never_both(tmp_path: Path) -> None:
    write(tmp_path, "far_questions", *(row(f"what is {number}?") for number in range(300)))
    daily, final = (handwritten.items(PERSONA, final, tmp_path) for final in (False, True))
    assert len(daily) + len(final) == 300
    assert 150 < len(daily) < 250
    asked = [{item.conversation.messages[-1].content for item in part} for part in (daily, final)]
    assert not asked[0] & asked[1]


def test_without_files_there_are_no_questions(tmp_path: Path) -> None:
    assert handwritten.items(PERSONA, False, tmp_path) == []


@pytest.mark.parametrize(
    "bad",
    ["{", row("x"), row("x", accept=["("]), {"messages": []}, row("x", acept=["a"])],
)
def test_a_bad_line_is_named(tmp_path: Path, bad: object) -> None:
    write(tmp_path, "first_words", "", bad)
    with pytest.raises(DataError, match=r"first_words\.jsonl: line 2: "):
        for final in (False, True):
            handwritten.items(PERSONA, final, tmp_path)
