"""Exports of chats: who said what, in order, and conversations made of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from nielsgpt.importers import chats
from nielsgpt.importers.content import Reading, Turn
from nielsgpt.importers.dialogue import conversations
from nielsgpt.importers.plain import read_csv, read_json

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


LRM = "\u200e"
LOCALES = {
    "Android, American": (
        "12/31/23, 9:1{}\u202fPM - ",
        *("Ada: Lit?", 'Ada changed the subject from "Lamps" to "Lamps: old"'),
        *("Bo: <Media omitted>", "Bo: IMG-1.jpg (file attached)", "Bo: This message was deleted"),
        *("Bo: POLL:\nWhich?\nOPTION: Argand (1 vote)", "Bo: location: https://m.org/?q=1,2"),
        "Bo: Yes. <This message was edited>",
    ),
    "Android, German": (
        "31.12.23, 21:1{} - ",
        *("Ada: Lit?", "Ada hat Bo hinzugef\u00fcgt.", "Bo: <Medien ausgeschlossen>"),
        *("Bo: a.jpg (Datei angeh\u00e4ngt)", "Bo: Diese Nachricht wurde gel\u00f6scht."),
        *("Bo: Verpasster Sprachanruf", "Bo: Yes. <Diese Nachricht wurde bearbeitet.>"),
    ),
    "Android, Brazilian": (
        "31/12/2023 21:1{} - ",
        *("Ada: Lit?", "Ada criou este grupo", "Bo: <M\u00eddia oculta>"),
        *("Bo: a.jpg (arquivo anexado)", "Bo: Voc\u00ea apagou esta mensagem"),
        *("Bo: Liga\u00e7\u00e3o de voz perdida", "Bo: Yes. <Mensagem editada>"),
    ),
    "Android, Spanish": (
        "31/12/23, 9:1{} p.\u202fm. - ",
        *("Ada: Lit?", "Bo: <Multimedia omitido>", "Bo: Se elimin\u00f3 este mensaje."),
        "Bo: Yes. <Se edit\u00f3 este mensaje.>",
    ),
    "Android, French": ("31/12/2023 \u00e0 21:1{} - ", "Ada: Lit?", "Bo: Yes."),
    "iOS, American": (
        "[12/31/23, 9:1{}:00\u202fPM] ",
        *(f"Lamps: {LRM}Messages are encrypted.", "~\u202fAda: Lit?", f"Bo: {LRM}image omitted"),
        *(f"Bo: {LRM}<attached: 1-PHOTO.jpg>", f"Bo: Yes. {LRM}<attached: 2-PHOTO.jpg>"),
    ),
    "iOS, German": ("[31.12.23, 21:1{}:00] ", "Ada: Lit?", "Bo: Bild weggelassen", "Bo: Yes."),
    "iOS, Brazilian": (
        "[31/12/2023, 21:1{}:00] ",
        *("Ada: Lit?", "Bo: \u00e1udio ocultado", "Bo: figurinha omitida", "Bo: Yes."),
    ),
    "iOS, Finnish": ("[31.12.2023 klo 21.1{}.00] ", "Ada: Lit?", "Bo: \u2068Yes.\u2069"),
}


@pytest.mark.parametrize("locale", LOCALES)
def test_only_what_people_wrote_is_left_of_an_export_of_whatsapp_in_any_language(
    locale: str,
) -> None:
    stamp, *lines = LOCALES[locale]
    text = "\n".join(stamp.format(minute) + line for minute, line in enumerate(lines))
    assert chats.is_whatsapp(text)
    (turns,) = chats.whatsapp(text, Reading())
    assert [(turn.speaker, turn.text) for turn in turns] == [("Ada", "Lit?"), ("Bo", "Yes.")]
    assert all(EVENING - 60 <= (turn.time or 0) < EVENING + 600 for turn in turns)


def test_the_caption_of_a_picture_stays() -> None:
    text = "31.12.23, 21:11 - Bo: a.jpg (Datei angeh\u00e4ngt)\nLook!\n31.12.23, 21:12 - Bo: Eh?"
    (turns,) = chats.whatsapp(text, Reading())
    assert [turn.text for turn in turns] == ["Look!", "Eh?"]


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


def test_mentions_in_discord_become_names(tmp_path: Path) -> None:
    message = {
        "type": "Reply",
        "content": "Hi <@!77>, <@8> <:lamp:123>",
        "author": {"name": "ada"},
        "mentions": [{"id": "77", "name": "noah", "nickname": "Noah"}],
    }
    export = {"guild": {}, "channel": {}, "messages": [message]}
    assert said(export, tmp_path) == [[("ada", "Hi @Noah, @someone :lamp:")]]


def test_a_package_of_discord_is_ones_own_messages(tmp_path: Path) -> None:
    rows = [{"ID": 1, "Timestamp": "2023-12-31 21:41:00", "Contents": text} for text in "ab"]
    path = tmp_path / "messages.json"
    path.write_text(json.dumps(rows))
    assert list(read_json(path, Reading())) == ["a\nb"]
    table = tmp_path / "messages.csv"
    table.write_text("ID,Timestamp,Contents,Attachments\n1,2023-12-31,a,\n2,2023-12-31,b,\n")
    assert list(read_csv(table, Reading())) == ["a\nb"]


def test_a_thread_of_slack_is_a_conversation_of_its_own(tmp_path: Path) -> None:
    def message(ts: str, user: str, text: str, thread: str | None = None) -> dict[str, str | None]:
        return {"type": "message", "ts": ts, "user": user, "text": text, "thread_ts": thread}

    day = [
        message("1", "U1", "Is it lit?", "1"),
        message("2", "U1", "Rain again."),
        message("3", "U2", "Yes.", "1"),
    ]
    assert said(day, tmp_path) == [[("U1", "Rain again.")], [("U1", "Is it lit?"), ("U2", "Yes.")]]


def test_what_was_spoken_to_chatgpt_is_read(tmp_path: Path) -> None:
    def node(parent: str | None, role: str, kind: str, text: str) -> dict[str, Any]:
        parts = [{"content_type": "image_asset_pointer"}, {"content_type": kind, "text": text}]
        content = {"content_type": "multimodal_text", "parts": parts}
        return {"parent": parent, "message": {"author": {"role": role}, "content": content}}

    mapping = {
        "q": node(None, "user", "audio_transcription", "Is it lit?"),
        "t": node("q", "assistant", "thoughts", "Hm."),
        "a": node("t", "assistant", "audio_transcription", "Yes \ue200cite\ue201."),
    }
    export = [{"mapping": mapping, "current_node": "a"}]
    assert said(export, tmp_path) == [[("user", "Is it lit?"), ("assistant", "Yes.")]]


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
