"""Databricks Dolly: an instruction, perhaps a text that it is about, and an answer."""

from collections.abc import Iterator

from nielsgpt.conversation import Conversation, Message
from nielsgpt.data.sources import hf_hub
from nielsgpt.data.sources.hf_hub import Dataset, Row

SYSTEM = "you are a helpful assistant."


def walk(dataset: Dataset, seed: int, include_system: bool) -> Iterator[Conversation]:
    """A conversation a row, but for rows whose instruction or answer is blank."""
    for rows in hf_hub.splits(dataset, seed).values():
        for number, row in enumerate(rows, start=1):
            found = conversation(row, include_system, f"{dataset.label}, row {number}")
            if found is not None:
                yield found


def conversation(row: Row, include_system: bool, name: str = "") -> Conversation | None:
    """The row as one exchange: the instruction with its context below it, and the answer."""
    asked, about, answer = (row[key].strip() for key in ("instruction", "context", "response"))
    if not asked or not answer:
        return None
    question = f"{asked}\n\ncontext:\n{about}" if about else asked
    head = (Message("system", SYSTEM),) if include_system else ()
    return Conversation((*head, Message("user", question), Message("assistant", answer)), name)
