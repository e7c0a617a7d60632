"""The shapes in which people have their conversations, and the words for those that are none."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nielsgpt.conversation import Conversation, Message, render
from nielsgpt.data.sources import files, schemas
from nielsgpt.data.sources.cleaning import CONTROLS_REMOVED
from nielsgpt.errors import DataError
from nielsgpt.tokenizers.byte import ByteTokenizer

USER, REPLY = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello."}
PARTS = [{"type": "text", "text": "h"}, "i"]
HI = [("user", "hi"), ("assistant", "Hello.")]
TOOLS = [USER, {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]

SHAPES: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "messages": ({"messages": [USER, REPLY], "id": 3}, HI),
    "a list": ([USER, REPLY], HI),
    "a system prompt beside them": (
        {"system": "Be terse.", "messages": [USER, REPLY]},
        [("system", "Be terse."), *HI],
    ),
    "ShareGPT": (
        {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "Hello."}]},
        HI,
    ),
    "Alpaca": ({"instruction": "hi", "input": "", "output": "Hello."}, HI),
    "Alpaca with an input": (
        {"instruction": "Add.", "input": "1 and 2", "output": "3"},
        [("user", "Add.\n\n1 and 2"), ("assistant", "3")],
    ),
    "Alpaca with a history": (
        {"instruction": "And?", "output": "Yes.", "history": [["hi", "Hello."]]},
        [*HI, ("user", "And?"), ("assistant", "Yes.")],
    ),
    "Dolly": ({"instruction": "hi", "context": "", "response": "Hello."}, HI),
    "prompt and completion": ({"prompt": "hi", "completion": "Hello."}, HI),
    "prompt and completion as messages": ({"prompt": [USER], "completion": [REPLY]}, HI),
    "question and answer": ({"question": "hi", "answer": "Hello."}, HI),
    "parts": ([{"role": "user", "content": PARTS}, REPLY], HI),
    "developer": ([{"role": "developer", "content": "Be."}, USER, REPLY], [("system", "Be."), *HI]),
}


def told(record: object, counts: Counter[str] | None = None) -> list[Conversation]:
    return list(schemas.parse_record(record, "line 1", Counter() if counts is None else counts))


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_whose_meaning_is_plain_is_read(name: str) -> None:
    record, said = SHAPES[name]
    (found,) = told(record)
    assert [(message.role, message.content) for message in found.messages] == said


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"messages": TOOLS}, "message 2 uses a tool.*grep -v tool_calls"),
        ([USER, {"role": "tool", "content": "sun"}], "message 2 uses a tool"),
        ([{"role": "user", "content": [{"type": "image_url"}]}, REPLY], "part of type 'image_url'"),
        ({"prompt": "hi", "chosen": "a", "rejected": "b"}, "but the keys prompt, chosen.*write it"),
        ({"text": "hi"}, 'but the keys text; write it as {"messages"'),
        ([USER, {**REPLY, "weight": 0.5}], "message 2 has the weight 0.5; it must be 0"),
    ],
)
def test_what_cannot_be_learnt_is_a_line_with_a_remedy(record: object, says: str) -> None:
    with pytest.raises(DataError, match=f"line 1.*{says}"):
        told(record)


def test_an_array_of_records_is_read_whole(tmp_path: Path) -> None:
    records = [record for record, _ in SHAPES.values()]
    for name, text in {
        "a.json": json.dumps(records, indent=1),
        "b.jsonl": json.dumps(records),
        "c.json": "\n".join(map(json.dumps, records)),
    }.items():
        (tmp_path / name).write_text(text)
        found = list(files.read_conversations([tmp_path / name]))
        assert [[(m.role, m.content) for m in one.messages] for one in found] == [
            said for _, said in SHAPES.values()
        ]


def test_an_array_over_several_lines_under_the_wrong_name_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps([[USER, REPLY]], indent=1))
    with pytest.raises(DataError, match=r"line 1 is not JSON .*; name the file \.json"):
        list(files.read_conversations([tmp_path / "a.jsonl"]))


def test_a_blank_reply_goes_with_its_question_and_is_counted() -> None:
    counts: Counter[str] = Counter()
    blank = {**REPLY, "content": " \n"}
    (found,) = told([USER, blank, {**USER, "content": "who?"}, REPLY], counts)
    assert [message.content for message in found.messages] == ["who?", "Hello."]
    assert not told([USER, blank], counts)
    assert counts[schemas.BLANK] == 2
    assert counts[schemas.NO_REPLIES] == 1


def test_a_file_of_blank_replies_alone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps([USER, {**REPLY, "content": ""}]))
    with pytest.raises(DataError, match="has no reply to train on"):
        list(files.read_conversations([tmp_path / "a.jsonl"]))


def test_a_reply_of_weight_0_is_context_and_not_in_the_loss() -> None:
    (found,) = told([USER, {**REPLY, "weight": 0}, USER, {**REPLY, "weight": 1}])
    (plain,) = told([USER, REPLY, USER, REPLY])
    tokenizer = ByteTokenizer()
    ids, mask = render(found, tokenizer.encode, tokenizer.specials)
    assert tokenizer.decode([token for token, counts in zip(ids, mask, strict=True) if counts]) == (
        "Hello."
    )
    assert ids == render(plain, tokenizer.encode, tokenizer.specials)[0]
    assert not told([USER, {**REPLY, "weight": 0}])


def test_a_record_as_it_always_was_becomes_the_same_conversation() -> None:
    (found,) = told({"messages": [USER, REPLY]})
    assert found == Conversation((Message("user", "hi"), Message("assistant", "Hello.")), "line 1")


def test_messages_are_without_marks_and_control_characters() -> None:
    counts: Counter[str] = Counter()
    (found,) = told([{**USER, "content": "\ufeffone\r\ntwo\x00"}, REPLY], counts)
    assert found.messages[0].content == "one\ntwo"
    assert counts == {CONTROLS_REMOVED: 1, schemas.BLANK: 0}
