import json
import re
from pathlib import Path

import pytest

from nielsgpt.conversation import Conversation, Message
from nielsgpt.errors import DataError
from nielsgpt.inference import transcript

TURNS = (Message("user", "Who?\nYou? \u00e9"), Message("assistant", "Niels."))
SYSTEM = Message("system", "Be brief.")
GOOD = {"role": "user", "content": "a"}


@pytest.mark.parametrize("messages", [TURNS, (SYSTEM, *TURNS), (SYSTEM, *TURNS, *TURNS[:1])])
def test_a_conversation_comes_back_from_its_file(
    tmp_path: Path, messages: tuple[Message, ...]
) -> None:
    path = tmp_path / "chat.json"
    transcript.save(Conversation(messages), path)
    assert transcript.load(path).messages == messages


def test_the_file_is_the_system_prompt_and_the_messages(tmp_path: Path) -> None:
    transcript.save(Conversation((SYSTEM, *TURNS)), tmp_path / "chat.json")
    assert json.loads((tmp_path / "chat.json").read_text("utf-8")) == {
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "Who?\nYou? \u00e9"},
            {"role": "assistant", "content": "Niels."},
        ],
    }


def test_a_file_is_replaced_only_with_force(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"chat\.json already exists; replace it with '/save --force .*chat\.json'"
    ):
        transcript.save(Conversation(TURNS), path)
    assert path.read_text("utf-8") == "mine"
    transcript.save(Conversation(TURNS), path, replace=True)
    assert transcript.load(path).messages == TURNS


def test_an_empty_conversation_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no message to save yet; write one first"):
        transcript.save(Conversation((SYSTEM,)), tmp_path / "chat.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"{", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[]", 'it has no list "messages"'),
        (b'{"messages": {}}', 'it has no list "messages"'),
        (b'{"messages": []}', "has no messages"),
        (json.dumps({"messages": [GOOD, GOOD]}).encode(), "turns must alternate"),
        (json.dumps({"messages": [{"role": "bot", "content": ""}]}).encode(), "role 'bot'"),
        (json.dumps({"system": 3, "messages": [GOOD]}).encode(), "message 1 is not"),
    ],
)
def test_a_broken_file_is_one_line_that_names_it(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    path = tmp_path / "chat.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(fault)) as caught:
        transcript.load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json cannot be read \(No such file"):
        transcript.load(tmp_path / "gone.json")
