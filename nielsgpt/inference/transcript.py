"""A conversation as a file: {"system": "...", "messages": [{"role": ..., "content": ...}]}."""

import json
from pathlib import Path

from nielsgpt.conversation import Conversation, parse_conversation
from nielsgpt.errors import DataError
from nielsgpt.system.workspace import write_json


def save(conversation: Conversation, path: Path, replace: bool = False) -> None:
    """Write the conversation whole, or not at all.

    Raises DataError where there is nothing to write, or a file that is not to be replaced.
    """
    turns = conversation.turns
    if not turns:
        raise DataError("nothing was said yet that could be saved; write a message first")
    if path.exists() and not replace:
        raise DataError(f"{path} is there already; '/save --force {path}' replaces it")
    messages = [{"role": message.role, "content": message.content} for message in turns]
    system = conversation.system.content if conversation.system else None
    write_json(path, {"system": system, "messages": messages})


def load(path: Path) -> Conversation:
    """The conversation of a file. Raises DataError naming the file and what is wrong with it."""
    try:
        record = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); '/save {path}' writes one"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no saved conversation: it is not JSON ({error})") from None
    if not isinstance(record, dict) or not isinstance(record.get("messages"), list):
        raise DataError(f'{path} is no saved conversation: it holds no list of "messages"')
    system = record.get("system")
    opening = [{"role": "system", "content": system}] if system else []
    return parse_conversation([*opening, *record["messages"]], str(path))
