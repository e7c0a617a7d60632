"""Wordings: every relation has many, and no held-out core is a piece of a training one."""

import random
import re

import pytest

from nielsgpt.data.primer import manners
from nielsgpt.data.primer.facts import FACTS_PATH, Fact, load_facts
from nielsgpt.data.primer.grammar import (
    CLOSERS,
    HELD_OUT_OPENERS,
    OPENERS,
    tell,
    weighted,
    wordings,
    wrap,
)
from nielsgpt.data.primer.manners import Manner
from nielsgpt.data.primer.talk import read
from nielsgpt.errors import DataError

FACTS = load_facts(FACTS_PATH)
MANNERS = [manner for manner in vars(manners).values() if isinstance(manner, Manner)]


def pattern(core: str) -> str:
    """The core with one sign for every placeholder, in bare words, for comparison."""
    words = re.findall(r"[a-z0-9+=_]+", re.sub(r"\{\w+\}", "_", core.lower().replace("'", "")))
    return f" {' '.join(words)} "


def test_every_fact_can_be_told_asked_examined_and_answered() -> None:
    for fact in FACTS:
        told = tell(fact)
        assert all((told.statements, told.questions, told.held_out, told.replies))
        sentences = (*told.statements, *told.questions, *told.held_out, *told.replies)
        assert not any("{" in sentence or "  " in sentence for sentence in sentences)


def test_every_statement_and_reply_names_the_answer() -> None:
    for fact in FACTS:
        told = tell(fact)
        for sentence in (*told.statements, *told.replies):
            assert fact.answer.lower() in sentence.lower()


def test_no_question_gives_its_answer_away() -> None:
    for fact in FACTS:
        if fact.relation in ("capital", "continent", "symbol", "young", "keeper", "thinker"):
            told = tell(fact)
            for question in (*told.questions, *told.held_out):
                assert not re.search(rf"\b{re.escape(fact.answer)}\b", question), question


def test_every_relation_has_hundreds_of_training_questions() -> None:
    for relation, wording in wordings().items():
        cores = set(wording.questions)
        assert len(cores) >= 10, relation
        assert len(cores) * (len(OPENERS) + len(CLOSERS) + 3) >= 300
        assert len(set(wording.held_out)) >= 4


def test_no_held_out_core_is_a_piece_of_a_training_core() -> None:
    lines = [read(manner) for manner in MANNERS]
    training = [
        *(core for w in wordings().values() for core in (*w.questions, *w.statements, *w.replies)),
        *(core for manner in lines for core in (*manner.requests, *manner.replies)),
    ]
    held_out = [
        *(core for wording in wordings().values() for core in wording.held_out),
        *(core for manner in lines for core in manner.held_out),
    ]
    book = "|".join(map(pattern, training))
    assert len(held_out) > 100
    for core in held_out:
        assert pattern(core) not in book, core


def test_held_out_openers_are_not_training_openers() -> None:
    assert not set(HELD_OUT_OPENERS) & set(OPENERS)


def test_a_line_with_a_weight_stands_that_often() -> None:
    assert weighted(["2| a", "b", "c | d"]) == ("a", "a", "b", "c | d")


def test_the_article_fits_the_noun() -> None:
    assert "How many legs does an owl have?" in [
        question[0].upper() + question[1:]
        for question in tell(Fact("legs", "owl", "two")).questions
    ]
    assert "A spider is an arachnid." in tell(Fact("kind", "spider", "arachnid")).statements


def test_wrapping_keeps_the_question_and_makes_many_of_it() -> None:
    rng = random.Random(0)
    wrapped = {wrap("what is the capital of Peru?", rng) for _ in range(2000)}
    assert len(wrapped) > 40
    assert all("is the capital of peru" in text.lower() for text in wrapped)


def test_a_relation_without_wordings_is_named() -> None:
    with pytest.raises(DataError, match="'weight' of 'whale'"):
        tell(Fact("weight", "whale", "much"))
