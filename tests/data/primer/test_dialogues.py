"""Dialogues: well formed, free of prose_only facts, and the committed text is what they say."""

import collections
import itertools
import re
from pathlib import Path

import pytest

from nielsgpt.conversation import Conversation, Message, split_pairs
from nielsgpt.data.primer.dialogues import SYSTEM_LINE, as_text, category_dialogues, dialogues
from nielsgpt.data.primer.facts import FACTS_PATH, load_facts
from nielsgpt.data.primer.grammar import tell
from nielsgpt.data.primer.talk import CATEGORIES
from nielsgpt.errors import DataError

FACTS = load_facts(FACTS_PATH)
MANY = list(itertools.islice(dialogues(FACTS, 0), 20_000))


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
    assert lines[SYSTEM_LINE] > len(MANY) / 2
    assert lines[""] > len(MANY) / 20
    assert len(lines) >= 5
    assert len(SYSTEM_LINE.split()) <= 12


def test_a_prose_only_fact_is_never_asked_or_told() -> None:
    hidden = [fact for fact in FACTS if fact.prose_only]
    named = [(f" {fact.subject.lower()} ", f" {fact.answer.lower()} ") for fact in hidden]
    exchanges = [bare(*pair) for conversation in MANY for pair in split_pairs(conversation)]
    assert len(hidden) > 40
    for subject, answer in named:
        assert not any(subject in said and answer in said for said in exchanges)
    text = "|".join(exchanges)
    for fact in hidden:
        assert not any(bare(question) in text for question in tell(fact).questions)


def test_every_other_fact_is_asked_and_answered() -> None:
    text = "|".join(bare(*pair) for conversation in MANY for pair in split_pairs(conversation))
    for fact in FACTS:
        if not fact.prose_only:
            assert any(bare(question).rstrip() in text for question in tell(fact).questions), fact


def test_the_same_seed_gives_the_same_dialogues() -> None:
    again = list(itertools.islice(dialogues(FACTS, 0), 50))
    other = list(itertools.islice(dialogues(FACTS, 1), 50))
    assert again == MANY[:50]
    assert other != again


def test_the_seven_categories_come_in_order_and_do_not_repeat_a_request() -> None:
    found = category_dialogues(FACTS, seed=4, n_per_category=30, shuffle=False)
    assert [c.name.split()[0] for c in found] == [name for name in CATEGORIES for _ in range(30)]
    assert len(CATEGORIES) == 7
    assert len({conversation.messages[1].content for conversation in found}) == 210
    assert all(conversation.messages[0].content == SYSTEM_LINE for conversation in found)


def test_shuffling_changes_the_order_only() -> None:
    plain, mixed = (category_dialogues(FACTS, 0, 5, shuffle) for shuffle in (False, True))
    assert plain != mixed
    assert sorted(plain, key=repr) == sorted(mixed, key=repr)


def test_the_committed_primer_is_what_seed_0_gives() -> None:
    committed = (Path(FACTS_PATH).parent / "primer.txt").read_text(encoding="utf-8")
    assert committed == as_text(
        category_dialogues(load_facts(FACTS_PATH), seed=0, n_per_category=30, shuffle=False)
    )


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


def test_facts_without_a_keeper_are_refused_by_name() -> None:
    facts = [fact for fact in FACTS if fact.relation != "keeper"]
    with pytest.raises(DataError, match="'keeper'"):
        next(dialogues(facts, 0))
