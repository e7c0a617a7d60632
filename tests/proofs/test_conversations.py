"""Rendering: the mask covers exactly what the assistant says, and a prompt is a prefix."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nielsgpt.conversation import (
    Conversation,
    Message,
    parse_conversation,
    prompt,
    render,
    split,
    split_pairs,
    truncate,
)
from nielsgpt.errors import DataError
from nielsgpt.tokenizers.byte import ByteTokenizer

BYTES = ByteTokenizer()
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    head = [Message("system", draw(TEXTS))] if draw(st.booleans()) else []
    turns = []
    for _ in range(draw(st.integers(1, 4))):
        turns += [Message("user", draw(TEXTS)), Message("assistant", draw(TEXTS))]
    return Conversation((*head, *turns))


def test_the_mask_is_exactly_the_assistants_text_and_its_end_token() -> None:
    talk = Conversation((Message("system", "s"), Message("user", "hi"), Message("assistant", "yo")))
    ids, mask = render(talk, BYTES.encode, BYTES.specials)
    assert ids == [256, 115, 259, 257, 104, 105, 259, 258, 121, 111, 259]
    assert mask == [False] * 8 + [True] * 3


@given(talk=conversations())
def test_the_supervised_ids_spell_the_replies_and_nothing_else(talk: Conversation) -> None:
    ids, mask = render(talk, BYTES.encode, BYTES.specials)
    supervised = [token for token, counts in zip(ids, mask, strict=True) if counts]
    expected: list[int] = []
    for message in talk.messages:
        if message.role == "assistant":
            expected += [*BYTES.encode(message.content), BYTES.specials.end]
    assert supervised == expected


@given(talk=conversations())
def test_a_prompt_is_a_prefix_of_its_rendering(talk: Conversation) -> None:
    whole, _ = render(talk, BYTES.encode, BYTES.specials)
    asked = prompt(Conversation(talk.messages[:-1]), BYTES.encode, BYTES.specials)
    assert whole[: len(asked)] == asked
    assert whole[len(asked) :] == [
        *BYTES.encode(talk.messages[-1].content),
        BYTES.specials.end,
    ]


@settings(max_examples=200)
@given(talk=conversations(), limit=st.integers(8, 120))
def test_splitting_keeps_order_fits_and_loses_only_pairs_too_long(
    talk: Conversation, limit: int
) -> None:
    head = (talk.system,) if talk.system else ()
    pieces = split(talk, BYTES.encode, BYTES.specials, limit)
    kept = [pair for piece in pieces for pair in split_pairs(piece)]
    fitting = [
        pair
        for pair in split_pairs(talk)
        if len(render(Conversation((*head, *pair)), BYTES.encode, BYTES.specials)[0]) <= limit
    ]
    assert kept == fitting
    assert all(len(render(piece, BYTES.encode, BYTES.specials)[0]) <= limit for piece in pieces)
    assert all(piece.system == talk.system for piece in pieces)


def test_fitting_drops_the_oldest_pairs_and_keeps_the_system_message() -> None:
    talk = Conversation((Message("system", "s"),))
    for number in range(5):
        talk = talk.with_message("user", f"q{number}").with_message("assistant", f"a{number}")
    talk = talk.with_message("user", "last")
    short = truncate(talk, BYTES.encode, BYTES.specials, 24)
    assert short.system == talk.system
    assert [m.content for m in short.messages[1:]] == ["q4", "a4", "last"]
    with pytest.raises(DataError, match="need 10 tokens and the context has room for 9"):
        truncate(talk, BYTES.encode, BYTES.specials, 9)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([{"role": "robot", "content": "x"}], "message 1 has the unknown role 'robot'"),
        ([{"role": "user"}], "message 1 is not"),
        ([{"role": "assistant", "content": "x"}], "message 1 has role 'assistant' where 'user'"),
        ([], "has no messages"),
        (["hello"], "message 1 is not"),
        ([{"role": "user", "content": "\ud83d"}], "message 1 contains a lone surrogate"),
    ],
)
def test_a_broken_record_names_the_message(record: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_conversation(record, "chat.jsonl, line 3")
