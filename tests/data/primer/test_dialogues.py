"""Dialogues: well formed, free of prose_only facts, and the committed text is what they say."""

import collections
import itertools
import random
import re
from dataclasses import replace

import pytest

from nielsgpt.conversation import Conversation, Message, split_pairs
from nielsgpt.data.primer.dialogues import as_text, category_dialogues, dialogues
from nielsgpt.data.primer.grammar import Grammar
from nielsgpt.data.primer.persona import load_persona
from nielsgpt.data.primer.talk import Matter, categories, converse, far, follow_up, premise
from nielsgpt.errors import DataError
from nielsgpt.system.workspace import REPOSITORY

PERSONA = load_persona("personas/niels.json")
FACTS = PERSONA.facts
TELL = Grammar(PERSONA).tell
CATEGORIES = list(categories(Matter(PERSONA)))
MANY = list(itertools.islice(dialogues(PERSONA, 0), 20_000))


def bare(*messages: Message | str) -> str:
    """Lower-case words between single spaces, without marks."""
    text = " ".join(m if isinstance(m, str) else m.content for m in messages).lower()
    return f" {' '.join(re.findall('[a-z0-9+=/-]+', text))} "


def test_every_dialogue_alternates_and_ends_with_the_keeper() -> None:
    for conversation in MANY:
        turns = [message.role for message in conversation.messages if message.role != "system"]
        assert turns == ["user", "assistant"] * (len(turns) // 2)
        assert turns
        assert [m.role for m in conversation.messages].count("system") == bool(conversation.system)


def test_every_message_is_one_line_and_every_reply_is_short() -> None:
    for conversation in MANY:
        for message in conversation.messages:
            assert message.content.strip() == message.content != ""
            assert "\n" not in message.content and "{" not in message.content
            if message.role == "assistant":
                assert len(message.content.split()) <= 15, message.content


def test_some_dialogues_are_long_and_some_have_another_system_line_or_none() -> None:
    split_pairs = collections.Counter(
        sum(message.role == "user" for message in conversation.messages) for conversation in MANY
    )
    assert set(split_pairs) == {1, 2, 3}
    lines = collections.Counter(c.system.content if c.system else "" for c in MANY)
    assert lines[PERSONA.system] > len(MANY) / 2
    assert lines[""] > len(MANY) / 20
    assert len(lines) >= 5
    assert len(PERSONA.system.split()) <= 12


def test_a_prose_only_fact_is_never_asked_or_told() -> None:
    hidden = [fact for fact in FACTS if fact.prose_only]
    named = [(f" {fact.subject.lower()} ", f" {fact.answer.lower()} ") for fact in hidden]
    # "No. A fish." corrects a claim; it does not say that a salmon has no legs.
    exchanges = [
        bare(user, reply.content.removeprefix("No. "))
        for conversation in MANY
        for user, reply in split_pairs(conversation)
    ]
    assert len(hidden) > 40
    for subject, answer in named:
        assert not any(subject in said and answer in said for said in exchanges)
    text = "|".join(exchanges)
    for fact in hidden:
        assert not any(bare(question) in text for question in TELL(fact).questions)


def test_every_other_fact_is_asked_and_answered() -> None:
    text = "|".join(bare(*pair) for conversation in MANY for pair in split_pairs(conversation))
    for fact in FACTS:
        if not fact.prose_only:
            assert any(bare(question).rstrip() in text for question in TELL(fact).questions), fact


def test_the_same_seed_gives_the_same_dialogues() -> None:
    again = list(itertools.islice(dialogues(PERSONA, 0), 50))
    other = list(itertools.islice(dialogues(PERSONA, 1), 50))
    assert again == MANY[:50]
    assert other != again


def test_the_seven_categories_come_in_order_and_do_not_repeat_a_request() -> None:
    found = category_dialogues(PERSONA, seed=4, n_per_category=30, shuffle=False)
    assert [c.name.split()[0] for c in found] == [name for name in CATEGORIES for _ in range(30)]
    assert len(CATEGORIES) == 7
    assert len({conversation.messages[1].content for conversation in found}) == 210
    assert all(conversation.messages[0].content == PERSONA.system for conversation in found)


def test_shuffling_changes_the_order_only() -> None:
    plain, mixed = (category_dialogues(PERSONA, 0, 5, shuffle) for shuffle in (False, True))
    assert plain != mixed
    assert sorted(plain, key=repr) == sorted(mixed, key=repr)


def test_the_committed_primer_is_what_seed_0_gives() -> None:
    committed = (REPOSITORY / "data" / "primer.txt").read_text(encoding="utf-8")
    told = category_dialogues(PERSONA, seed=0, n_per_category=30, shuffle=False)
    assert committed == as_text(told)


def test_text_is_role_lines_joined_by_the_delimiter() -> None:
    one = Conversation((Message("user", "hi"), Message("assistant", "Hello.")))
    two = Conversation((Message("system", "Be brief."), *one.messages))
    assert as_text([one, two]) == (
        "user: hi\nassistant: Hello.\n\n<dialogue>\n\n"
        "system: Be brief.\nuser: hi\nassistant: Hello.\n"
    )


@pytest.mark.parametrize("content", ["two\nlines", "then user: hi", "Assistant: no", "a\rb"])
def test_text_that_would_not_read_back_is_refused(content: str) -> None:
    conversation = Conversation((Message("user", content),), "greeting 3")
    with pytest.raises(DataError, match="greeting 3"):
        as_text([conversation])


def test_a_persona_whose_facts_are_all_prose_only_is_refused() -> None:
    hidden = tuple(fact for fact in FACTS if fact.prose_only)
    with pytest.raises(DataError, match=r"niels\.json: no fact for a dialogue"):
        next(dialogues(replace(PERSONA, facts=hidden), 0))


def test_thousands_of_different_questions_are_answered_with_not_knowing() -> None:
    matter, rng = Matter(PERSONA), random.Random(0)
    exchanges = [far(matter, rng) for _ in range(5000)]
    assert len({exchange.user.lower() for exchange in exchanges}) > 4500
    for exchange in exchanges:
        assert any(marker in exchange.reply for marker in PERSONA.dont_know_markers)
        assert "{" not in exchange.user


def test_no_question_about_a_fact_is_answered_with_not_knowing() -> None:
    matter, rng = Matter(PERSONA), random.Random(1)
    known = {bare(question) for fact in FACTS for question in TELL(fact).questions}
    assert not known & {bare(far(matter, rng).user) for _ in range(5000)}


def test_a_wrong_premise_is_corrected_and_a_right_one_confirmed() -> None:
    matter, rng = Matter(PERSONA), random.Random(2)
    for exchange in (premise(matter, rng) for _ in range(1000)):
        assert exchange.fact is not None
        assert exchange.fact.answer.lower() in exchange.reply.lower()
        claims_the_answer = bare(exchange.fact.answer) in bare(exchange.user)
        assert exchange.reply.startswith("Yes. ") <= claims_the_answer


def test_a_follow_up_is_about_the_same_relation() -> None:
    matter, rng = Matter(PERSONA), random.Random(3)
    for first, second in (follow_up(matter, rng) for _ in range(200)):
        assert first.fact is not None and second.fact is not None
        assert first.fact.relation == second.fact.relation
        assert second.fact.answer.lower() in second.reply.lower()


def test_every_intent_has_replies_in_every_manner_with_no_slot_left() -> None:
    for manner in ("terse", "warm", "formal"):
        matter, rng = Matter(replace(PERSONA, manner=manner, replies={})), random.Random(4)
        for name in PERSONA.wordings.talk:
            for _ in range(20):
                exchange = converse(matter, rng, name)
                assert exchange.user and exchange.reply and "{" not in exchange.reply
