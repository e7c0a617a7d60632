"""Dolly's rows and OpenAssistant's trees as conversations."""

from typing import Any

import pytest

from nielsgpt.data.sources import hf_chats
from nielsgpt.data.sources.hf_chats import Thread, list_threads, trim_threads
from tests.data.sources.hubdata import message


def said(thread: Thread) -> str:
    return " ".join(turn.id for turn in thread.turns)


def found(rows: list[dict[str, Any]], english_only: bool = True, most: int = 32) -> list[str]:
    return [said(thread) for thread in list_threads(rows, english_only, most)]


def ended(rows: list[dict[str, Any]], most: int = 32) -> list[str]:
    return [said(thread) for thread in trim_threads(list_threads(rows, True, most))]


def chain(count: int) -> list[dict[str, Any]]:
    """A tree that never branches, its messages named 0, 1, and so on."""
    roles = ("prompter", "assistant")
    return [
        message(str(n), str(n - 1) if n else None, roles[n % 2], f"text {n}") for n in range(count)
    ]


# a question with two answers; below the first another question with one answer
TREE = [
    message("q", None, "prompter", "  Where?  "),
    message("a", "q", "assistant", "Here."),
    message("b", "q", "assistant", "There."),
    message("aq", "a", "prompter", "Why?"),
    message("aqa", "aq", "assistant", "So."),
]


def test_the_context_stands_below_the_instruction() -> None:
    row = {"instruction": " Sum up. ", "context": "A long text.\n", "response": "Short."}
    asked = hf_chats.parse_dolly_row(row, include_system=False)
    assert asked is not None
    assert [(m.role, m.content) for m in asked.messages] == [
        ("user", "Sum up.\n\ncontext:\nA long text."),
        ("assistant", "Short."),
    ]


def test_a_blank_context_leaves_the_instruction_alone_and_a_system_message_opens() -> None:
    row = {"instruction": "Hi", "context": "  \n", "response": "Yes."}
    asked = hf_chats.parse_dolly_row(row, include_system=True)
    assert asked is not None
    assert [(m.role, m.content) for m in asked.messages] == [
        ("system", "you are a helpful assistant."),
        ("user", "Hi"),
        ("assistant", "Yes."),
    ]


@pytest.mark.parametrize("blank", ["instruction", "response"])
def test_an_exchange_that_lacks_one_side_is_none(blank: str) -> None:
    row = {"instruction": "Hi", "context": "", "response": "Yes.", blank: " "}
    assert hf_chats.parse_dolly_row(row, include_system=False) is None


def test_every_way_from_root_to_leaf_is_a_thread_in_the_order_of_the_rows() -> None:
    assert found(TREE) == ["q a aq aqa", "q b"]
    assert found(TREE[::-1]) == ["q b", "q a aq aqa"]
    first = next(list_threads(TREE, True, 32))
    assert (first.tree, first.leaf, first.turns[0].text) == ("t", "aqa", "Where?")


def test_what_answers_a_dropped_message_is_no_root() -> None:
    rows = [
        message("q", None, "prompter", "Wo?", "de"),
        message("a", "q", "assistant", "Here."),
        message("aq", "a", "prompter", "Why?"),
    ]
    assert found(rows) == []
    assert found(rows, english_only=False) == ["q a aq"]


@pytest.mark.parametrize(("most", "cut"), [(1, "q"), (2, "q a, q b"), (3, "q a aq, q b")])
def test_a_long_way_is_cut_and_ends_there(most: int, cut: str) -> None:
    assert found(TREE, most=most) == cut.split(", ")


def test_a_way_with_an_unknown_role_or_two_turns_in_a_row_is_left_out() -> None:
    assert found([*TREE, message("x", "b", "moderator", "Stop.")]) == ["q a aq aqa"]
    assert found([*TREE, message("x", "b", "assistant", "And more.")]) == ["q a aq aqa"]


def test_a_blank_message_is_skipped_and_then_the_roles_must_still_be_in_turn() -> None:
    blank = [message("x", "aqa", "prompter", " \n")]
    assert found([*TREE, *blank])[0] == "q a aq aqa"
    assert found([*TREE, *blank, message("y", "x", "assistant", "More.")]) == ["q b"]


def test_a_tree_as_deep_as_any_does_not_exhaust_the_stack() -> None:
    assert len(found(chain(5000), most=5000)[0].split()) == 5000


def test_a_thread_for_training_ends_with_an_answer() -> None:
    assert ended(chain(5)) == ["0 1 2 3"]
    assert ended(chain(8), most=3) == ["0 1"]
    assert ended(chain(1)) == []


def test_no_thread_for_training_is_the_beginning_of_another_or_comes_twice() -> None:
    two_questions = [message("b1", "b", "prompter", "One?"), message("b2", "b", "prompter", "Two?")]
    assert ended([*TREE, *two_questions]) == ["q a aq aqa", "q b"]
    left_open = [message("aq2", "a", "prompter", "When?")]
    assert ended([*TREE, *left_open]) == ["q a aq aqa", "q b"]


def test_the_threads_of_a_tree_are_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    other = [{**row, "message_tree_id": "u"} for row in chain(2)]
    monkeypatch.setattr(
        hf_chats.hf_hub, "open_splits", lambda dataset, seed: {"train": [*TREE, *other]}
    )
    dataset = hf_chats.Dataset("oasst1", hf_chats.hf_hub.HubSettings(dataset="a/b"), "c" * 40)
    walked = list(hf_chats.read_oasst(dataset, 1, True, 32))
    assert [(talk.group, len(talk.messages)) for talk in walked] == [("t", 4), ("t", 2), ("u", 2)]
    assert [message.role for message in walked[0].messages] == ["user", "assistant"] * 2
