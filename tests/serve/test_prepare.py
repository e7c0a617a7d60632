"""Messages in any order become a conversation, and none is lost."""

import itertools

import pytest

from nielsgpt.conversation import Conversation, Message
from nielsgpt.serve.api_errors import ApiError
from nielsgpt.serve.prepare import arrange_messages


def arrange(*messages: str) -> tuple[list[str], str]:
    """Roles by their first letters: "s: text"."""
    roles = {"s": "system", "u": "user", "a": "assistant"}
    pairs = [message.split(": ", 1) for message in messages]
    conversation, reply_start = arrange_messages(
        [Message(roles[role], text) for role, text in pairs]
    )  # type: ignore[arg-type]
    return [
        f"{message.role[0]}: {message.content}" for message in conversation.messages
    ], reply_start


def test_a_conversation_in_order_stays_as_it_is() -> None:
    messages = ["s: Be brief.", "u: Hello", "a: Ahoy.", "u: Bye"]
    assert arrange(*messages) == (messages, "")


def test_two_messages_of_one_role_are_one_with_a_blank_line_between() -> None:
    messages = arrange("u: Hello", "u: Are you there?", "a: Yes.", "a: I am.", "u: Bye")
    assert messages == (["u: Hello\n\nAre you there?", "a: Yes.\n\nI am.", "u: Bye"], "")


def test_all_system_messages_become_the_first() -> None:
    messages = arrange("u: Hello", "s: Be brief.", "a: Ahoy.", "u: Bye", "s: Be kind.")
    assert messages == (["s: Be brief.\n\nBe kind.", "u: Hello", "a: Ahoy.", "u: Bye"], "")


def test_the_assistants_last_message_begins_the_reply() -> None:
    assert arrange("u: Hello", "a: Aho") == (["u: Hello"], "Aho")
    assert arrange("u: Hello", "a: ") == (["u: Hello"], "")


def test_a_greeting_first_answers_an_empty_message() -> None:
    assert arrange("a: Ahoy.", "u: Hello") == (["u: ", "a: Ahoy.", "u: Hello"], "")


def test_an_empty_system_message_is_left_out() -> None:
    assert arrange("s: ", "u: Hello") == (["u: Hello"], "")


@pytest.mark.parametrize("messages", [(), ("s: Be brief.",), ("a: Ahoy.",), ("s: x", "a: y")])
def test_messages_without_a_user_message_are_refused(messages: tuple[str, ...]) -> None:
    with pytest.raises(ApiError) as refused:
        arrange(*messages)
    assert refused.value.detail == "there is no user message; send one"


def test_every_order_of_five_messages_is_a_conversation_that_holds_all_of_them() -> None:
    for roles in itertools.product(("system", "user", "assistant"), repeat=5):
        if "user" not in roles:
            continue
        messages = [Message(role, f"<{index}>") for index, role in enumerate(roles)]
        conversation, reply_start = arrange_messages(messages)
        assert isinstance(conversation, Conversation)
        assert conversation.messages[-1].role == "user"
        text = conversation.text + reply_start
        assert all(text.count(message.content) == 1 for message in messages)
