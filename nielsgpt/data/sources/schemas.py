"""Common formats of conversations, converted to messages with role and content.

[{"role": "user", "content": "hi"}, ...]                            also below "messages"
{"conversations": [{"from": "human", "value": "hi"}, ...]}          ShareGPT
{"instruction": "Add.", "input": "1 and 2", "output": "3"}          Alpaca
{"prompt": "hi", "completion": "Hello."}                            also lists of messages
[{"type": "text", "text": "hi"}] as content                         parts
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nielsgpt.conversation import Conversation, parse_conversation, split_pairs
from nielsgpt.data.sources.cleaning import CONTROLS, CONTROLS_REMOVED, normalize_text
from nielsgpt.errors import DataError

EXAMPLE = '{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", ...}]}'
ROLE_NAMES = {
    **dict.fromkeys(("human", "prompter"), "user"),
    **dict.fromkeys(("gpt", "chatgpt", "model"), "assistant"),
    "developer": "system",
}
TOOL_ROLES = ("tool", "function", "function_call", "function_response", "observation", "ipython")
TOOL_KEYS = ("tool_calls", "function_call")
TEXT_PARTS = ("text", "input_text", "output_text")
BLANK = "blank replies left out, each with what it answers"
NO_REPLIES = "conversations left out because they have no reply to train on"
Record = Mapping[str, Any]


def parse_record(record: object, where: str, counts: Counter[str]) -> Iterator[Conversation]:
    """The conversation of a record, or those of an array of records; counts what is left out.

    Raises DataError naming `where` for an unknown format, a tool call or an image.
    """
    if isinstance(record, list) and record and all(map(_is_whole, record)):
        for number, one in enumerate(record, start=1):
            yield from parse_record(one, f"{where}, conversation {number}", counts)
        return
    messages = [
        _normalize_message(item, f"{where}: message {n}")
        for n, item in _list_messages(record, where)
    ]
    for message in messages:
        if isinstance(message, dict) and isinstance(content := message["content"], str):
            message["content"] = normalize_text(content)
            counts[CONTROLS_REMOVED] += len(CONTROLS.findall(content))
    found = _drop_blank_replies(parse_conversation(messages, where), counts)
    if found is not None:
        yield found


def _list_messages(record: object, where: str) -> Iterator[tuple[int, Any]]:
    """The messages of a record, numbered from 1."""
    found: Any = record
    if isinstance(record, dict):
        shape = _find_shape(record)
        found = SHAPES[shape](record, *shape) if shape else None
    if not isinstance(found, list):
        keys = f", but the keys {', '.join(record)}"[:200] if isinstance(record, dict) else ""
        raise DataError(
            f"{where} has neither a list of messages nor a messages key{keys}; "
            f"write it as {EXAMPLE}"
        )
    return enumerate(found, start=1)


def _normalize_message(item: Any, where: str) -> Any:
    """Rename the role and keys of a message to nielsgpt's, and convert its content to text."""
    if not isinstance(item, dict):
        return item
    role = item.get("role", item.get("from"))
    content = item.get("content", item.get("value"))
    name = role.lower() if isinstance(role, str) else ""
    if name in TOOL_ROLES or any(item.get(key) for key in TOOL_KEYS):
        raise DataError(
            f"{where} uses a tool, which this model does not support; leave such conversations "
            "out, as 'grep -v tool_calls OLD > NEW' does"
        )
    if isinstance(content, list):
        content = "".join(_part_text(part, where) for part in content)
    return {**item, "role": ROLE_NAMES.get(name, role), "content": content}


def _part_text(part: Any, where: str) -> str:
    """The text of a content part."""
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in TEXT_PARTS and isinstance(part.get("text"), str):
        return str(part["text"])
    raise DataError(
        f"{where} has a part of type {kind!r}, and only text is supported; leave the "
        "conversation out"
    )


def _drop_blank_replies(found: Conversation, counts: Counter[str]) -> Conversation | None:
    """Drop exchanges with a blank reply; None if no reply to train on is left.

    A conversation that never had a reply is kept: it is counted as left out later.
    """
    turns = split_pairs(found)
    kept = [pair for pair in turns if len(pair) == 1 or pair[1].content.strip()]
    counts[BLANK] += len(turns) - len(kept)
    replies = [pair[1] for pair in kept if len(pair) == 2]
    if any(len(pair) == 2 for pair in turns) and not any(reply.weight for reply in replies):
        counts[NO_REPLIES] += 1
        return None
    if len(kept) == len(turns):
        return found
    head = (found.system,) if found.system else ()
    return Conversation((*head, *(m for pair in kept for m in pair)), found.name, found.group)


def _find_shape(record: Record) -> tuple[str, ...] | None:
    """The keys of the first matching format."""
    return next((keys for keys in SHAPES if all(key in record for key in keys)), None)


def _is_whole(record: object) -> bool:
    """Whether the record is a whole conversation, not a message."""
    return isinstance(record, list) or (
        isinstance(record, dict) and _find_shape(record) is not None
    )


def _from_list(record: Record, key: str) -> Any:
    """The list of messages, preceded by the record's system prompt, if any."""
    said = record.get("system")
    head = [{"role": "system", "content": said}] if isinstance(said, str) and said.strip() else []
    return [*head, *record[key]] if isinstance(record[key], list) else None


def _from_exchange(record: Record, asked: str, answer: str) -> Any:
    """One exchange, preceded by its history; an input or context follows the question."""
    question, reply = record[asked], record[answer]
    if isinstance(question, list) and isinstance(reply, list):
        return [*question, *reply]
    about = next((record[key] for key in ("input", "context") if record.get(key)), None)
    if isinstance(about, str) and about.strip() and asked == "instruction":
        question = f"{question}\n\n{about}"
    told = [*(record.get("history") or ()), (question, reply)]
    messages = [
        {"role": role, "content": text}
        for pair in told
        for role, text in zip(("user", "assistant"), pair, strict=False)
    ]
    return _from_list({**record, "messages": messages}, "messages")


SHAPES: dict[tuple[str, ...], Callable[..., Any]] = {
    ("messages",): _from_list,
    ("conversations",): _from_list,
    ("conversation",): _from_list,
    ("instruction", "output"): _from_exchange,
    ("instruction", "response"): _from_exchange,
    ("prompt", "completion"): _from_exchange,
    ("prompt", "response"): _from_exchange,
    ("question", "answer"): _from_exchange,
}
