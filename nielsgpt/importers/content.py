"""The results of a reader: documents, chats as turns, and counts of what it left out."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Unreadable(Exception):
    """A file that holds nothing a reader can use; the message is the reason."""


@dataclass(frozen=True)
class Turn:
    """One message of a chat. `role` is known in exports of assistants; `time` in seconds."""

    speaker: str
    text: str
    time: float | None = None
    role: str | None = None


Chat = Sequence[Turn]
Content = str | list[Turn]


@dataclass
class Reading:
    """How one file is read: the column of tables, and what was left out, by reason."""

    column: str = "text"
    left_out: Counter[str] = field(default_factory=Counter)


Reader = Callable[[Path, Reading], Iterator[Content]]


def turn_record(turn: Turn) -> list[Any]:
    """A turn as JSON."""
    return [turn.speaker, turn.text, turn.time, turn.role]


def merge_counts(into: dict[str, int], more: Mapping[str, int]) -> None:
    """Add the counts of `more` to those of `into`."""
    for name, count in more.items():
        into[name] = into.get(name, 0) + count
