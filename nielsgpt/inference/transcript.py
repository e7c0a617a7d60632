"""A saved conversation: {"system": "...", "messages": [{"role": ..., "content": ...}]}."""

import json
from pathlib import Path

from nielsgpt.conversation import Conversation, parse_conversation
from nielsgpt.errors import DataError
from nielsgpt.system.atomic_files import write_json


def save(conversation: Conversation, path: Path, replace: bool = False) -> None:
    """Write the conversation atomically.

    Raises DataError if it is empty, or if the file exists and `replace` is false.
    """
    turns = conversation.turns
    if not turns:
        raise DataError("there is no message to save yet; write one first")
    if path.exists() and not replace:
        raise DataError(f"{path} already exists; replace it with '/save --force {path}'")
    messages = [{"role": message.role, "content": message.content} for message in turns]
    system = conversation.system.content if conversation.system else None
    write_json(path, {"system": system, "messages": messages})


def load(path: Path) -> Conversation:
    """Read a saved conversation. Raises DataError with the file and the reason."""
    try:
        record = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); '/save {path}' writes one"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a saved conversation: it is not JSON ({error})") from None
    if not isinstance(record, dict) or not isinstance(record.get("messages"), list):
        raise DataError(f'{path} is not a saved conversation: it has no list "messages"')
    system = record.get("system")
    first = [{"role": "system", "content": system}] if system else []
    return parse_conversation([*first, *record["messages"]], str(path))
