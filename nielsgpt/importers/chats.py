"""Exports of chats as turns: messengers, assistants, and the usual formats of training data."""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from nielsgpt.importers.content import Content, Reading, Turn, Unreadable
from nielsgpt.importers.decode import repair

Tree = dict[str, Any]
TEXT_PARTS = ("text", "input_text", "output_text", "audio_transcription")
ROLES = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "bing", "model", "ai"), "assistant"),
    "system": "system",
}
# What asks, what answers; the first two that a record has as texts.
PAIRS = (
    *(("instruction", "output"), ("instruction", "response"), ("prompt", "completion")),
    *(("prompt", "response"), ("question", "answer"), ("input", "output")),
)

# WhatsApp: "31.12.23, 21:41 - Ada: text", "[12/31/23, 9:41:05 PM] Ada: text" and their like.
HALF = r"(?:[ap]\.?\s?m\.?|\u4e0a\u5348|\u4e0b\u5348|\uc624\uc804|\uc624\ud6c4)"
STAMP = (
    r"(\d{1,4})[./-]\s?(\d{1,2})[./-]\s?(\d{1,4})\.?,?\s+"
    rf"(?:(?:\u00e0|klo|um|kl\.?|\u00e0s|a las)\s)?({HALF}\s?)?(\d{{1,2}})[:.](\d{{2}})"
    rf"(?:[:.](\d{{2}}))?(?:\s?({HALF}))?(?:\s?Uhr)?"
)
MESSAGE = re.compile(rf"^[\u200e\u200f]?(?:\[{STAMP}\]\s?|{STAMP}\s[-\u2013]\s)(.*)$", re.I)
AFTERNOON = re.compile("p|\u4e0b|\uc624\ud6c4", re.I)
ENDINGS = "jpe?g|png|gif|webp|heic|mp4|mov|3gp|opus|ogg|m4a|mp3|aac|pdf|vcf|docx?|xlsx?|pptx?|zip"
MEDIA = re.compile(
    r"^<[^<>\n]{3,60}>$"  # <Media omitted> in every language
    r"|^\u200e"  # iOS marks what it wrote itself
    # image omitted, Bild weggelassen, imagem ocultada, imagen omitida, image absente
    r"|^(?:[^\W\d]+ ){1,3}(?:omitted|weggelassen|ausgelassen|ocultad[oa]|omitid[oa]|omess[oa]"
    r"|absente?|(?:n\u00e3o )?revelad[oa])$"
    r"|^(?:poll|umfrage|enquete|encuesta|sondage):\n"
    r"|^(?:live )?(?:location|standort|localiza\u00e7\u00e3o|ubicaci\u00f3n|position): https?:\S+$"
    r"|^(?:(?:this message was|you) deleted(?: this message)?|null|waiting for this message.*"
    r"|diese nachricht wurde gel\u00f6scht|du hast diese nachricht gel\u00f6scht"
    r"|se elimin\u00f3 este mensaje|este mensaje fue eliminado|eliminaste este mensaje"
    r"|(?:esta )?mensagem (?:foi )?apagada|voc\u00ea apagou esta mensagem"
    r"|ce message a \u00e9t\u00e9 supprim\u00e9|vous avez supprim\u00e9 ce message"
    r"|missed (?:group )?(?:voice|video) call|verpasster (?:sprach|video)anruf"
    r"|liga\u00e7\u00e3o de (?:voz|v\u00eddeo) perdida|(?:video)?llamada(?: de voz)? perdida"
    r"|appel (?:vocal|vid\u00e9o) manqu\u00e9)\.?$",
    re.I,
)
ATTACHED = re.compile(  # a caption may follow
    rf"^\S[^\n]*\.(?:{ENDINGS}) \([^()\n]+\)(?:\n|$)|\s*\u200e<[^<>\n]+>", re.I
)
EDITED = re.compile(r"\s*\u200e?<[^<>\n]*(?:edit|bearbeitet|modifi)[^<>\n]*>$", re.I)
FEWEST_STAMPS = 2


def is_whatsapp(text: str) -> bool:
    """Whether most of the first lines that begin a message do so as WhatsApp's exports do."""
    head = [line for line in text[:20_000].split("\n") if line.strip()][:40]
    stamped = sum(bool(MESSAGE.match(line)) for line in head)
    return stamped >= FEWEST_STAMPS and stamped >= 0.3 * len(head) and bool(MESSAGE.match(head[0]))


def whatsapp(text: str, reading: Reading) -> Iterator[list[Turn]]:
    """The chat of an export: system lines, media and deleted messages are left out."""
    found: list[tuple[list[str], list[str]]] = []
    for line in text.split("\n"):
        match = MESSAGE.match(line.replace("\u202f", " "))
        if match:
            groups = match.groups()
            place = 0 if groups[0] is not None else 8
            found.append(([part or "" for part in groups[place : place + 8]], [groups[16]]))
        elif found:
            found[-1][1].append(line)
    order = date_order([stamp[:3] for stamp, _ in found])
    turns = []
    for stamp, lines in found:
        speaker, colon, said = "\n".join(lines).strip().partition(": ")
        said = said if said.startswith("\u200e") else ATTACHED.sub("", said)
        said = re.sub("[\u2066-\u2069]", "", EDITED.sub("", said)).strip()
        # `Ada changed the subject to "Lamps: old"` is no message of a speaker either.
        if not colon or len(speaker) > 60 or re.search('[\n"\u201c\u201e\u00ab]', speaker):
            reading.left_out["system lines"] += 1
        elif MEDIA.match(said) or not said:
            reading.left_out["media and deleted messages"] += 1
        else:
            name = speaker.strip("\u200e\u200f\u202a\u202c~ ")
            turns.append(Turn(name, said.replace("\u200e", ""), whatsapp_time(stamp, order)))
    yield turns


def date_order(dates: Sequence[Sequence[str]]) -> str:
    """How a file writes its dates, as "dmy", "mdy" or "ymd": by numbers that no month has, else by
    the order in which no message goes back in time most often."""
    rows = [tuple(map(int, date)) for date in dates]
    if any(row[0] > 31 for row in rows):
        return "ymd"
    if any(row[0] > 12 for row in rows):
        return "dmy"
    if any(row[1] > 12 for row in rows):
        return "mdy"
    ordered = {
        order: sum(a <= b for a, b in pairwise(days))
        for order, days in (
            ("dmy", [(year, month, day) for day, month, year in rows]),
            ("mdy", [(year, month, day) for month, day, year in rows]),
        )
    }
    return max(ordered, key=lambda order: ordered[order])


def whatsapp_time(stamp: Sequence[str], order: str) -> float | None:
    """Seconds of a stamp (three parts of the date, half, hour, minute, second, half)."""
    date = dict(zip(order, map(int, stamp[:3]), strict=True))
    hour, half = int(stamp[4]), (stamp[3] or stamp[7]).strip()
    if half:
        hour = hour % 12 + (12 if AFTERNOON.match(half) else 0)
    year = date["y"] + (2000 if date["y"] < 100 else 0)
    try:
        moment = datetime(year, date["m"], date["d"], hour, int(stamp[5]), int(stamp[6] or 0))
    except ValueError:
        return None
    return (moment - datetime(1970, 1, 1)).total_seconds()


def from_tree(tree: Any, path: Path, reading: Reading) -> Iterator[Content]:
    """The chats of an export in JSON, of whichever program; nothing where it is none."""
    for name, shape in EXPORTS.items():
        if shape(tree):
            yield from READ[name](tree, path, reading)
            return


def is_export(tree: Any) -> bool:
    """Whether the tree is an export of a program that is known here."""
    return any(shape(tree) for shape in EXPORTS.values())


def conversation(record: Any) -> list[Turn]:
    """The turns of a record of training data: messages, ShareGPT, Alpaca or a pair; else none.

    >>> [turn.role for turn in conversation({"prompt": "Hi", "completion": "Hello."})]
    ['user', 'assistant']
    """
    if isinstance(record, list):
        return _messages(record)
    if not isinstance(record, dict):
        return []
    for key in ("messages", "conversations", "conversation"):
        if isinstance(record.get(key), list):
            return _messages(record[key])
    for asks, answers in PAIRS:
        if isinstance(record.get(asks), str) and isinstance(record.get(answers), str):
            more = record.get("input") if asks == "instruction" else ""
            asked = [record[asks], more if isinstance(more, str) else ""]
            system = record.get("system") or record.get("system_prompt")
            return [
                *([_turn("system", system)] if isinstance(system, str) and system.strip() else ()),
                _turn("user", "\n\n".join(filter(None, asked))),
                _turn("assistant", record[answers]),
            ]
    return []


def _messages(items: Sequence[Any]) -> list[Turn]:
    turns = []
    for item in items:
        if not isinstance(item, dict):
            return []
        role = ROLES.get(str(item.get("role") or item.get("from") or "").lower())
        text = _parts_text(item.get("content", item.get("value")))
        if role and text:
            turns.append(_turn(role, text))
    return turns


def _turn(role: str, text: str, time: float | None = None) -> Turn:
    return Turn(role, repair(text).strip(), time, role)


def _parts_text(content: Any) -> str:
    """A text, or the texts among parts of content."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part if isinstance(part, str) else _text_of(part) for part in content)
        return "\n\n".join(filter(None, parts))
    return ""


def _text_of(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else ""
    return (
        text
        if isinstance(text, str)
        and (part.get("type") or part.get("content_type") or "text") in TEXT_PARTS
        else ""
    )


def _telegram(tree: Tree, path: Path, reading: Reading) -> Iterator[list[Turn]]:
    chats = tree["chats"].get("list", []) if "chats" in tree else [tree]
    for chat in chats:
        turns = []
        for item in _dicts(chat.get("messages")):
            text = item.get("text")
            if isinstance(text, list):
                text = "".join(p if isinstance(p, str) else str(p.get("text", "")) for p in text)
            if item.get("type") != "message":
                reading.left_out["system lines"] += 1
            elif not isinstance(text, str) or not text.strip():
                reading.left_out["media and deleted messages"] += 1
            else:
                time = _number(item.get("date_unixtime")) or _iso(item.get("date"))
                turns.append(
                    Turn(str(item.get("from") or "deleted account"), repair(text).strip(), time)
                )
        yield turns


def _discord(tree: Tree, path: Path, reading: Reading) -> Iterator[list[Turn]]:
    turns = []
    for item in _dicts(tree["messages"]):
        text, author = item.get("content"), item.get("author") or {}
        if item.get("type") not in ("Default", "Reply"):
            reading.left_out["system lines"] += 1
        elif not isinstance(text, str) or not text.strip():
            reading.left_out["media and deleted messages"] += 1
        else:
            name = str(author.get("nickname") or author.get("name") or "unknown")
            turns.append(Turn(name, _discord_text(item), _iso(item.get("timestamp"))))
    yield turns


def _discord_text(item: Tree) -> str:
    """The text with the names of the people and emoji that it mentions, and not their numbers."""
    names = {
        str(who.get("id")): who.get("nickname") or who.get("name")
        for who in _dicts(item.get("mentions"))
    }
    text = re.sub(r"<@!?(\d+)>", lambda m: f"@{names.get(m[1]) or 'someone'}", item["content"])
    return repair(re.sub(r"<a?(:\w+:)\d+>|<[#@]&?\d+>", r"\1", text)).strip()


def _discord_own(tree: list[Any], path: Path, reading: Reading) -> Iterator[Content]:
    """A person's own messages, from the package of Discord itself; it holds no replies."""
    yield repair("\n".join(str(item.get("Contents") or "") for item in _dicts(tree)))


def _slack(tree: list[Any], path: Path, reading: Reading) -> Iterator[list[Turn]]:
    names = _slack_names(path.parent.parent / "users.json")
    threads: dict[Any, list[Turn]] = {None: []}  # what was answered aside, apart from the channel
    for item in _dicts(tree):
        text = item.get("text")
        if item.get("subtype") not in (None, "thread_broadcast", "me_message", "bot_message"):
            reading.left_out["system lines"] += 1
        elif not isinstance(text, str) or not text.strip():
            reading.left_out["media and deleted messages"] += 1
        else:
            profile = item.get("user_profile") or {}
            user = str(item.get("user") or item.get("username") or "unknown")
            name = profile.get("display_name") or profile.get("real_name") or names.get(user, user)
            turn = Turn(str(name), _slack_text(text, names), _number(item.get("ts")))
            threads.setdefault(item.get("thread_ts"), []).append(turn)
    yield from filter(None, threads.values())


def _slack_names(path: Path) -> dict[str, str]:
    try:
        users = json.loads(path.read_text("utf-8"))
        return {
            user["id"]: user.get("profile", {}).get("display_name")
            or user.get("real_name")
            or user["name"]
            for user in users
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _slack_text(text: str, names: dict[str, str]) -> str:
    text = re.sub(r"<@(\w+)(?:\|([^>]+))?>", lambda m: "@" + (m[2] or names.get(m[1], m[1])), text)
    text = re.sub(r"<[#!]\w*\|?([^>]*)>", r"\1", text)
    text = re.sub(r"<(?:[^|<>]+\|)?([^<>]+)>", r"\1", text)
    return repair(html.unescape(text)).strip()


def _chatgpt(tree: list[Any], path: Path, reading: Reading) -> Iterator[list[Turn]]:
    for chat in _dicts(tree):
        nodes, turns = chat.get("mapping") or {}, []
        place, seen = chat.get("current_node"), set()
        if place not in nodes:  # an old export: the last leaf
            place = next((key for key in reversed(nodes) if not nodes[key].get("children")), None)
        while place in nodes and place not in seen:
            seen.add(place)
            turns.append(_chatgpt_turn(nodes[place].get("message"), reading))
            place = nodes[place].get("parent")
        reading.left_out["branches that were given up"] += len(nodes) - len(seen)
        yield [turn for turn in reversed(turns) if turn is not None]


def _chatgpt_turn(message: Any, reading: Reading) -> Turn | None:
    if not isinstance(message, dict):
        return None
    content, hidden = message.get("content") or {}, message.get("metadata") or {}
    role = str((message.get("author") or {}).get("role"))
    kind = content.get("content_type")
    text = _parts_text(content.get("parts"))
    is_talk = role in ("user", "assistant") and kind in ("text", "multimodal_text")
    is_talk = is_talk and message.get("recipient", "all") == "all"
    if not is_talk or not text.strip() or hidden.get("is_visually_hidden_from_conversation"):
        reading.left_out["messages of tools, and hidden ones"] += 1
        return None
    text = re.sub(" ?\ue200.*?\ue201|\u3010[^\u3011]*\u2020[^\u3011]*\u3011", "", text)  # citations
    return _turn(role, text, _number(message.get("create_time")))


def _claude(tree: list[Any], path: Path, reading: Reading) -> Iterator[list[Turn]]:
    for chat in _dicts(tree):
        turns = []
        for item in _dicts(chat.get("chat_messages")):
            role = ROLES.get(str(item.get("sender")))
            text = _parts_text(item.get("content")) or str(item.get("text") or "")
            if role and text.strip():
                turns.append(_turn(role, text, _iso(item.get("created_at"))))
        yield turns


def _nothing(tree: Any, path: Path, reading: Reading) -> Iterator[list[Turn]]:
    raise Unreadable("it lists users or channels; the messages are in other files")
    yield


def _has(*keys: str) -> Callable[[Any], bool]:
    """Whether a tree, or the first of a list, is an object with these keys."""

    def shape(tree: Any) -> bool:
        first = tree[0] if isinstance(tree, list) and tree else tree
        return isinstance(first, dict) and all(key in first for key in keys)

    return shape


def _has_each(*keys: str) -> Callable[[Any], bool]:
    """Whether a tree is a list of objects with these keys."""
    return lambda tree: isinstance(tree, list) and _has(*keys)(tree)


def _is_telegram(tree: Any) -> bool:
    if not isinstance(tree, dict):
        return False
    if isinstance(tree.get("chats"), dict):
        return True
    return isinstance(tree.get("messages"), list) and "type" in tree and "name" in tree


EXPORTS: dict[str, Callable[[Any], bool]] = {
    "ChatGPT": _has("mapping"),
    "Claude": _has("chat_messages"),
    "Discord": lambda tree: isinstance(tree, dict) and _has("guild", "channel", "messages")(tree),
    "Telegram": _is_telegram,
    "Slack": _has_each("type", "ts"),
    "lists": lambda tree: any(
        shape(tree)
        for shape in (
            *(_has_each("id", "profile", "name"), _has_each("id", "created", "members")),
            *(_has_each("uuid", "email_address"), _has("id", "type", "recipients")),
        )
    ),
    "Discord's package": _has_each("ID", "Timestamp", "Contents"),
}
READ: dict[str, Callable[[Any, Path, Reading], Iterator[Content]]] = {
    "Discord's package": _discord_own,
    "ChatGPT": lambda tree, *rest: _chatgpt(tree if isinstance(tree, list) else [tree], *rest),
    "Claude": lambda tree, *rest: _claude(tree if isinstance(tree, list) else [tree], *rest),
    "Discord": _discord,
    "Telegram": _telegram,
    "Slack": _slack,
    "lists": _nothing,
}


def _dicts(items: Any) -> Iterable[Tree]:
    return (
        (item for item in items or () if isinstance(item, dict)) if isinstance(items, list) else ()
    )


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _iso(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        return None
