"""The facts file: read whole, true to its form, and refused by name when it is not."""

import json
from pathlib import Path

import pytest

from nielsgpt.data.primer.facts import Fact, load_facts
from nielsgpt.data.primer.persona import load_persona
from nielsgpt.errors import DataError

PERSONA = load_persona("personas/niels.json")
FACTS = PERSONA.facts


def test_no_fact_contradicts_another() -> None:
    answers = {(fact.relation, fact.subject): fact.answer for fact in FACTS}
    assert len(answers) == len(FACTS)


def test_sums_and_differences_are_right() -> None:
    for fact in FACTS:
        if fact.relation in ("sum", "difference"):
            left, operation, right = fact.subject.split()
            signed = int(right) if operation == "plus" else -int(right)
            assert int(fact.answer) == int(left) + signed
            assert int(fact.answer) >= 0


def test_opposites_after_and_before_agree_in_both_directions() -> None:
    told = {(fact.relation, fact.subject): fact.answer for fact in FACTS}
    for relation, back in (("opposite", "opposite"), ("after", "before"), ("before", "after")):
        for (name, subject), answer in told.items():
            if name == relation:
                assert told[back, answer] == subject


def test_a_sixth_of_the_eligible_facts_is_told_in_prose_only() -> None:
    eligible = {fact.relation for fact in FACTS if fact.prose_only}
    share = [fact.prose_only for fact in FACTS if fact.relation in eligible]
    assert 0.12 < sum(share) / len(share) < 0.21


def test_a_prose_only_opposite_is_not_told_backwards() -> None:
    hidden = {f.subject: f.answer for f in FACTS if f.prose_only and f.relation == "opposite"}
    assert hidden
    assert all(hidden[answer] == subject for subject, answer in hidden.items())


def test_a_file_gives_its_facts_in_order(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    record = {
        "largest_number": 1,
        "relations": {"capital": {"Peru": "Lima", "Kenya": "Nairobi"}},
        "prose_only": {"capital": ["Kenya"]},
    }
    path.write_text(json.dumps(record))
    assert load_facts(path) == (
        Fact("capital", "Peru", "Lima", False),
        Fact("capital", "Kenya", "Nairobi", True),
        Fact("sum", "1 plus 1", "2", False),
        Fact("difference", "1 minus 1", "0", False),
    )


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"relations": {}, "prose_only": {}}',
        '{"relations": {"capital": {"Peru": 3}}, "prose_only": {}, "largest_number": 1}',
        '{"relations": {"capital": ["Peru"]}, "prose_only": {}, "largest_number": 1}',
        '{"relations": {}, "prose_only": {"capital": ["Peru"]}, "largest_number": 1}',
        '{"relations": {}, "prose_only": {}, "largest_number": "ten"}',
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "facts.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"facts\.json"):
        load_facts(path)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(DataError, match=r"facts\.json"):
        load_facts(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json"):
        load_facts(tmp_path / "nowhere.json")
