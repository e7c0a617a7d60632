"""Exports of chats: who said what, in order, and conversations made of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from nielsgpt.importers import chats
from nielsgpt.importers.content import Reading, Turn
from nielsgpt.importers.dialogue import conversations
from nielsgpt.importers.plain import read_json

DAY = 86400.0
EVENING = 1704057060.0  # 2023-12-31 21:11


def said(export: Any, tmp_path: Path) -> list[list[tuple[str, str]]]:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(export), "utf-8")
    return [
        [(t.role or t.speaker, t.text) for t in chat if isinstance(t, Turn)]
        for chat in read_json(path, Reading())
    ]


@pytest.mark.parametrize(
    "line",
    [
        "31/12/2023, 21:11 - {}",
        "31.12.23, 21:11 - {}",
        "12/31/23, 9:11\u202fPM - {}",
        "31/12/2023 21:11 - {}",
        "31-12-2023 21:11 - {}",
        "31/12/23, 9:11 p. m. - {}",
        "2023/12/31 \u4e0b\u53489:11 - {}",
        "[31.12.23, 21:11:00] {}",
        "\u200e[12/31/23, 9:11:00\u202fPM] {}",
        "[2023-12-31, 21:11:00] {}",
    ],
)
def test_an_export_of_whatsapp_is_read_in_every_spelling_of_the_time(line: str) -> None:
    lines = (
        "Messages are encrypted",
        "Ada: Is it lit?\nIs it: really?",
        "Niels: <Media omitted>",
        "Niels: Yes.",
    )
    text = "\n".join(line.format(part) for part in lines)
    reading = Reading()
    assert chats.is_whatsapp(text)
    (turns,) = chats.whatsapp(text, reading)
    assert turns == [
        Turn("Ada", "Is it lit?\nIs it: really?", EVENING),
        Turn("Niels", "Yes.", EVENING),
    ]
    assert reading.left_out == {"system lines": 1, "media and deleted messages": 1}


def test_ambiguous_dates_are_read_in_the_order_in_which_time_passes() -> None:
    assert chats.date_order([("1", "2", "24"), ("2", "2", "24"), ("3", "2", "24")]) == "dmy"
    assert chats.date_order([("1", "2", "24"), ("1", "3", "24"), ("2", "1", "24")]) == "mdy"


def test_a_text_with_a_date_is_no_chat() -> None:
    assert not chats.is_whatsapp("31.12.23, 21:11 - a note\n" + "It rained all day.\n" * 20)


def test_an_export_of_telegram_is_read(tmp_path: Path) -> None:
    items = [
        {"type": "service", "action": "join"},
        {
            "type": "message",
            "from": "Ada",
            "date_unixtime": "1",
            "text": ["See ", {"type": "link", "text": "x.y"}],
        },
        {"type": "message", "from": "Niels", "date_unixtime": "2", "text": ""},
        {"type": "message", "from": "Niels", "date_unixtime": "2", "text": "Yes."},
    ]
    chat = {"name": "Ada", "type": "personal_chat", "messages": items}
    expected = [[("Ada", "See x.y"), ("Niels", "Yes.")]]
    assert said(chat, tmp_path) == expected
    assert said({"chats": {"list": [chat]}}, tmp_path) == expected


def test_exports_of_discord_and_slack_are_read(tmp_path: Path) -> None:
    discord = {
        "guild": {},
        "channel": {},
        "messages": [
            {
                "type": "Default",
                "timestamp": "2024-01-01T10:00:00+00:00",
                "content": "Hi",
                "author": {"name": "ada1", "nickname": "Ada"},
            },
            {"type": "GuildMemberJoin", "content": "Joined", "author": {"name": "x"}},
        ],
    }
    assert said(discord, tmp_path) == [[("Ada", "Hi")]]
    channel = tmp_path / "general"
    channel.mkdir()
    (tmp_path / "users.json").write_text(
        '[{"id": "U1", "name": "a", "profile": {"display_name": "Ada"}}]'
    )
    slack = [
        {"type": "message", "user": "U1", "ts": "1.5", "text": "<@U1> &amp; <http://x.y|this>"},
        {"type": "message", "subtype": "channel_join", "user": "U1", "ts": "1", "text": "joined"},
    ]
    assert said(slack, channel) == [[("Ada", "@Ada & this")]]


def test_an_export_of_chatgpt_is_its_last_branch(tmp_path: Path) -> None:
    def node(parent: str | None, role: str, text: str, *children: str) -> dict[str, Any]:
        content = {"content_type": "text", "parts": [text]}
        return {
            "parent": parent,
            "children": children,
            "message": {"author": {"role": role}, "content": content},
        }

    mapping = {
        "r": {"parent": None, "children": ["s"], "message": None},
        "s": node("r", "system", "hidden", "q"),
        "q": node("s", "user", "Is it lit?", "a", "b"),
        "a": node("q", "assistant", "No."),
        "b": node("q", "assistant", "Yes."),
    }
    expected = [[("user", "Is it lit?"), ("assistant", "Yes.")]]
    assert said([{"title": "x", "mapping": mapping, "current_node": "b"}], tmp_path) == expected
    assert said([{"title": "x", "mapping": mapping}], tmp_path) == expected


ASKED = [("user", "Hi"), ("assistant", "Hello.")]


@pytest.mark.parametrize(
    "record",
    [
        {
            "uuid": "1",
            "chat_messages": [
                {"sender": "human", "text": "Hi"},
                {"sender": "assistant", "content": [{"type": "text", "text": "Hello."}]},
            ],
        },
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "Hi"}, {"type": "image_url"}],
                },
                {"role": "assistant", "content": "Hello."},
            ]
        },
        {"instruction": "Hi", "input": "", "output": "Hello."},
        {"prompt": "Hi", "completion": "Hello."},
        {"question": "Hi", "answer": "Hello."},
    ],
)
def test_formats_of_training_data_are_read_as_an_array_and_by_lines(
    tmp_path: Path, record: Any
) -> None:
    assert said([record, record], tmp_path) == [ASKED, ASKED]
    path = tmp_path / "a.jsonl"
    path.write_text(f"{json.dumps(record)}\n{json.dumps(record)}\n")
    if "chat_messages" not in record:
        assert [len(chat) for chat in read_json(path, Reading())] == [2, 2]


def spoken(chat: list[Turn], *names: str) -> list[list[tuple[str, str]]]:
    return [[(m.role, m.content) for m in messages] for messages in conversations(chat, names, 6.0)]


def test_runs_of_one_speaker_are_joined_and_a_pause_begins_a_conversation() -> None:
    chat = [
        Turn("Niels", "Morning.", 0.0),
        Turn("Ada", "Is it lit?", 1.0),
        Turn("Bo", "Is it?", 2.0),
        Turn("Niels", "Yes.", 3.0),
        Turn("Niels", "All night.", 4.0),
        Turn("Ada", "Hello?", DAY),
        Turn("Niels", "Hello.", DAY + 1),
        Turn("Ada", "Bye.", DAY + 2),
    ]
    assert spoken(chat, "niels") == [
        [("user", "Is it lit?\nIs it?"), ("assistant", "Yes.\nAll night.")],
        [("user", "Hello?"), ("assistant", "Hello.")],
    ]
    assert spoken(chat) == []


def test_an_assistants_chat_keeps_its_roles_and_one_system_message() -> None:
    chat = [
        Turn(role, text, None, role)
        for role, text in (("system", "Be brief."), *ASKED, ("user", "?"))
    ]
    assert spoken(chat, "Ada") == [[("system", "Be brief."), *ASKED]]
