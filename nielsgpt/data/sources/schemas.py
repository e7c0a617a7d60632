"""Conversations in the shapes in which people have them, as messages of role and content.

[{"role": "user", "content": "hi"}, ...]                            also below "messages"
{"conversations": [{"from": "human", "value": "hi"}, ...]}          ShareGPT
{"instruction": "Add.", "input": "1 and 2", "output": "3"}          Alpaca
{"prompt": "hi", "completion": "Hello."}                            also lists of messages
[{"type": "text", "text": "hi"}] as a content                       parts
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nielsgpt.conversation import Conversation, parse_conversation, split_pairs
from nielsgpt.data.sources.plaintext import CONTROLS, TAKEN_OUT, plain
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
UNLEARNT = "conversations left out, in which no reply is to be learnt"
Record = Mapping[str, Any]


def conversations(record: object, where: str, counts: Counter[str]) -> Iterator[Conversation]:
    """The conversation of a record, or those of an array of records; counts what is left out.

    Raises DataError naming `where` for a shape that is not known, a tool or an image.
    """
    if isinstance(record, list) and record and all(map(_is_whole, record)):
        for number, one in enumerate(record, start=1):
            yield from conversations(one, f"{where}, conversation {number}", counts)
        return
    messages = [_message(item, f"{where}: message {n}") for n, item in _listed(record, where)]
    for message in messages:
        if isinstance(message, dict) and isinstance(content := message["content"], str):
            message["content"] = plain(content)
            counts[TAKEN_OUT] += len(CONTROLS.findall(content))
    found = _spoken(parse_conversation(messages, where), counts)
    if found is not None:
        yield found


def _listed(record: object, where: str) -> Iterator[tuple[int, Any]]:
    """The messages of a record, numbered from 1."""
    found: Any = record
    if isinstance(record, dict):
        shape = _shape(record)
        found = SHAPES[shape](record, *shape) if shape else None
    if not isinstance(found, list):
        keys = f", but the keys {', '.join(record)}"[:200] if isinstance(record, dict) else ""
        raise DataError(
            f"{where} holds neither a list of messages nor a messages key{keys}; "
            f"write it as {EXAMPLE}"
        )
    return enumerate(found, start=1)


def _message(item: Any, where: str) -> Any:
    """The message with the names of its roles and keys that nielsgpt has, its content as text."""
    if not isinstance(item, dict):
        return item
    role = item.get("role", item.get("from"))
    content = item.get("content", item.get("value"))
    name = role.lower() if isinstance(role, str) else ""
    if name in TOOL_ROLES or any(item.get(key) for key in TOOL_KEYS):
        raise DataError(
            f"{where} is of a tool, which this model cannot use; leave such conversations out, "
            "as 'grep -v tool_calls OLD > NEW' does"
        )
    if isinstance(content, list):
        content = "".join(_text(part, where) for part in content)
    return {**item, "role": ROLE_NAMES.get(name, role), "content": content}


def _text(part: Any, where: str) -> str:
    """The text of a part of a content."""
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in TEXT_PARTS and isinstance(part.get("text"), str):
        return str(part["text"])
    raise DataError(
        f"{where} has a part of type {kind!r}, and only text can be learnt; leave the "
        "conversation out"
    )


def _spoken(found: Conversation, counts: Counter[str]) -> Conversation | None:
    """The conversation without exchanges whose reply is blank; None where no reply is left of it
    that is to be learnt. One that never had a reply stays: what does not fit is counted later."""
    turns = split_pairs(found)
    kept = [pair for pair in turns if len(pair) == 1 or pair[1].content.strip()]
    counts[BLANK] += len(turns) - len(kept)
    replies = [pair[1] for pair in kept if len(pair) == 2]
    if any(len(pair) == 2 for pair in turns) and not any(reply.weight for reply in replies):
        counts[UNLEARNT] += 1
        return None
    if len(kept) == len(turns):
        return found
    head = (found.system,) if found.system else ()
    return Conversation((*head, *(m for pair in kept for m in pair)), found.name, found.group)


def _shape(record: Record) -> tuple[str, ...] | None:
    """The keys of the first shape that the record has."""
    return next((keys for keys in SHAPES if all(key in record for key in keys)), None)


def _is_whole(record: object) -> bool:
    """Whether it is a conversation by itself, and no message."""
    return isinstance(record, list) or (isinstance(record, dict) and _shape(record) is not None)


def _of_list(record: Record, key: str) -> Any:
    """The list of messages, after a system prompt that stands beside it."""
    said = record.get("system")
    head = [{"role": "system", "content": said}] if isinstance(said, str) and said.strip() else []
    return [*head, *record[key]] if isinstance(record[key], list) else None


def _of_exchange(record: Record, asked: str, answer: str) -> Any:
    """The one exchange, after its history; an input or a context stands below the question."""
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
    return _of_list({**record, "messages": messages}, "messages")


SHAPES: dict[tuple[str, ...], Callable[..., Any]] = {
    ("messages",): _of_list,
    ("conversations",): _of_list,
    ("conversation",): _of_list,
    ("instruction", "output"): _of_exchange,
    ("instruction", "response"): _of_exchange,
    ("prompt", "completion"): _of_exchange,
    ("prompt", "response"): _of_exchange,
    ("question", "answer"): _of_exchange,
}
