"""The records of an import: its folders, and the state and result of each file."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nielsgpt.system.atomic_files import read_json

PAUSE_HOURS = 6.0


@dataclass(frozen=True)
class Choices:
    """The options of an import; None keeps the earlier choice."""

    assistants: tuple[str, ...] = ()
    column: str = "text"
    redact: bool | None = None
    pause_hours: float | None = None
    time_s: float = 120.0


@dataclass
class Row:
    """The result of one file."""

    name: str
    reason: str = ""  # why it was not read
    key: str = ""
    documents: int = 0
    chats: int = 0
    read: int = 0  # characters
    kept: int = 0
    conversations: int = 0
    languages: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, int] = field(default_factory=dict)
    private: dict[str, Any] = field(default_factory=dict)


@dataclass
class Result:
    """The result of an import, for the terminal and the page."""

    rows: list[Row] = field(default_factory=list)
    new: int = 0  # files that were read by this import
    unknown: Counter[str] = field(default_factory=Counter)  # endings without a reader
    lengths: list[int] = field(default_factory=list)  # characters of each document
    repeats: dict[str, int] = field(default_factory=dict)
    speakers: Counter[str] = field(default_factory=Counter)  # of chats that wait for --as
    chat_path: Path | None = None
    edited: list[str] = field(default_factory=list)
    redacted: bool = False


class Store:
    """The folders of an import below a person's root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "data" / "import"
        self.texts = root / "data" / "raw" / "text" / "imported"
        self.chat = root / "data" / "raw" / "chat.jsonl"
        self.chat_beside = root / "data" / "raw" / "chat-imported.jsonl"
        self.manifest_path = self.folder / "manifest.json"

    def content(self, key: str) -> Path:
        """Where the content of a file lies that was read."""
        return self.folder / "read" / f"{key}.jsonl"

    def summary(self, key: str) -> Any:
        """Its counts, or the reason why it cannot be read; None where it was not read yet."""
        return read_json(self.content(key).with_suffix(".json"))

    def prune(self, keys: Collection[str]) -> None:
        """Remove the content of files that were replaced; why others were not read stays."""
        for path in (self.folder / "read").glob("*.jsonl*"):
            if path.name.partition(".")[0] not in keys:
                path.unlink()
                path.with_suffix(".json").unlink(missing_ok=True)

    def manifest(self) -> dict[str, Any]:
        """The files imported so far."""
        empty: dict[str, Any] = {
            "sources": {},
            "outputs": {},
            "as": [],
            "redact": False,
            "pause": PAUSE_HOURS,
        }
        return empty | (read_json(self.manifest_path) or {})
