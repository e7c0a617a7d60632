"""Wordings: every relation has many, and no held-out core is a piece of a training one."""

import random
import re

from nielsgpt.data.primer.facts import Fact
from nielsgpt.data.primer.grammar import Grammar, repeat_by_weight
from nielsgpt.data.primer.persona import load_persona

PERSONA = load_persona("personas/niels.json")
FACTS = PERSONA.facts
GRAMMAR = Grammar(PERSONA)
TELL = GRAMMAR.tell
WORDINGS = PERSONA.wordings


def pattern(core: str) -> str:
    """The core with one sign for every placeholder, in bare words, for comparison."""
    words = re.findall(r"[a-z0-9+=_]+", re.sub(r"\{\w+\}", "_", core.lower().replace("'", "")))
    return f" {' '.join(words)} "


def test_every_fact_can_be_told_asked_examined_and_answered() -> None:
    for fact in FACTS:
        told = TELL(fact)
        assert all((told.statements, told.questions, told.held_out, told.replies))
        sentences = (*told.statements, *told.questions, *told.held_out, *told.replies)
        assert not any("{" in sentence or "  " in sentence for sentence in sentences)


def test_every_statement_and_reply_names_the_answer() -> None:
    for fact in FACTS:
        told = TELL(fact)
        for sentence in (*told.statements, *told.replies):
            assert fact.answer.lower() in sentence.lower()


def test_no_question_gives_its_answer_away() -> None:
    for fact in FACTS:
        if fact.relation in ("capital", "continent", "symbol", "young", "self", "thinker"):
            told = TELL(fact)
            for question in (*told.questions, *told.held_out):
                assert not re.search(rf"\b{re.escape(fact.answer)}\b", question), question


def test_every_relation_has_hundreds_of_training_questions() -> None:
    for relation, wording in WORDINGS.relations.items():
        cores = set(wording.questions)
        assert len(cores) >= 10, relation
        assert len(cores) * (len(GRAMMAR.openers) + len(GRAMMAR.closers) + 3) >= 300
        assert len(set(wording.held_out)) >= 4


def test_no_held_out_core_is_a_piece_of_a_training_core() -> None:
    lines = WORDINGS.manners.values()
    relations = [*WORDINGS.relations.values(), WORDINGS.any_relation, WORDINGS.question]
    training = [
        *(core for w in relations for core in (*w.questions, *w.statements, *w.replies)),
        *(core for manner in lines for core in (*manner.requests, *manner.replies)),
        *(core for talk in WORDINGS.talk.values() for core in talk.user),
        *WORDINGS.far,
    ]
    held_out = [
        *(core for wording in relations for core in wording.held_out),
        *(core for manner in lines for core in manner.held_out),
    ]
    book = "|".join(pattern(core) for core in repeat_by_weight(training))
    assert len(held_out) > 100
    for core in repeat_by_weight(held_out):
        assert pattern(core) not in book, core


def test_held_out_openers_are_not_training_openers() -> None:
    assert not set(GRAMMAR.held_out_openers) & set(GRAMMAR.openers)


def test_a_line_with_a_weight_stands_that_often() -> None:
    assert repeat_by_weight(["2| a", "b", "c | d"]) == ("a", "a", "b", "c | d")


def test_the_article_fits_the_noun() -> None:
    assert "How many legs does an owl have?" in [
        question[0].upper() + question[1:]
        for question in TELL(Fact("legs", "owl", "two")).questions
    ]
    assert "A spider is an arachnid." in TELL(Fact("kind", "spider", "arachnid")).statements


def test_wrapping_keeps_the_question_and_makes_many_of_it() -> None:
    rng = random.Random(0)
    wrapped = {GRAMMAR.wrap("what is the capital of Peru?", rng) for _ in range(2000)}
    assert len(wrapped) > 40
    assert all("is the capital of peru" in text.lower() for text in wrapped)


def test_a_relation_without_wordings_of_its_own_is_told_in_those_of_any() -> None:
    told = TELL(Fact("weight", "the whale", "ten tons"))
    assert "The weight of the whale is ten tons." in told.statements
    assert "what is the weight of the whale?" in told.questions


def test_haste_changes_how_a_question_is_typed_and_not_its_digits() -> None:
    rng = random.Random(0)
    typed = {GRAMMAR.blur("What is 7 plus 12, and do not guess?", rng) for _ in range(500)}
    assert len(typed) > 50
    assert all("7" in text and "12" in text for text in typed)
    assert any("don't" in text for text in typed)


def test_a_message_is_framed_by_a_word_or_two_and_is_itself_in_most_cases() -> None:
    grammar, rng = Grammar(PERSONA), random.Random(1)
    framed = [grammar.frame("Tell me a joke.", rng) for _ in range(400)]
    assert 200 < framed.count("Tell me a joke.") < 320
    others = {text for text in framed if text != "Tell me a joke."}
    assert len(others) > 40
    assert all(
        text.endswith("tell me a joke.") or text.startswith("Tell me a joke") for text in others
    )
    assert not any(" ?" in text or " !" in text or "{" in text for text in others)
