"""Handwritten exam questions: read by line, marked by their patterns, two thirds for every day."""

import json
from pathlib import Path

import pytest

from nielsgpt.data.primer import handwritten
from nielsgpt.data.primer.exam_items import correct, grade
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


def test_every_third_line_is_kept_for_the_final_figure(tmp_path: Path) -> None:
    write(tmp_path, "far_questions", *(row(f"what is {number}?") for number in range(1, 10)))
    final = [
        item.conversation.messages[-1].content
        for item in handwritten.items(PERSONA, True, tmp_path)
    ]
    assert final == ["what is 3?", "what is 6?", "what is 9?"]


def test_not_knowing_is_a_whole_way_of_saying_so(tmp_path: Path) -> None:
    write(tmp_path, "far_questions", row("who made the moon?"))
    (far,) = handwritten.items(PERSONA, False, tmp_path)
    right = ("I don't know.", "i don't know", "I don't know. Ask the wind.", "Hm, I don't know.")
    wrong = ("Ask the wind.", "I don't know the moon but Lima.", "Nobody does.", "A beaver.")
    assert all(correct(far, reply) for reply in right)
    assert not any(correct(far, reply) for reply in wrong)


def test_the_chance_of_a_first_word_is_that_of_another_reply(tmp_path: Path) -> None:
    write(tmp_path, "first_words", *(row(f"hi {n}", accept=["hello"]) for n in range(4)))
    write(tmp_path, "far_questions", row("who made the moon?"))
    asked = handwritten.items(PERSONA, False, tmp_path)
    first, far = grade(asked, ["Hello.", "Hello.", "Lima.", "I don't know."])
    # Two questions were right and see one other greeting among three replies, one sees two.
    assert first.chance == pytest.approx((1 / 3 + 1 / 3 + 2 / 3) / 3)
    assert far.chance == 1.0
