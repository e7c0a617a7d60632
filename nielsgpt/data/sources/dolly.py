"""Databricks Dolly: an instruction, an optional context, and a response."""

from collections.abc import Iterator

from nielsgpt.conversation import Conversation, Message
from nielsgpt.data.sources import hf_hub
from nielsgpt.data.sources.hf_hub import Dataset, Row

SYSTEM = "you are a helpful assistant."


def read_rows(dataset: Dataset, seed: int, include_system: bool) -> Iterator[Conversation]:
    """One conversation per row, except rows with a blank instruction or response."""
    for rows in hf_hub.open_splits(dataset, seed).values():
        for number, row in enumerate(rows, start=1):
            conversation = parse_row(row, include_system, f"{dataset.label}, row {number}")
            if conversation is not None:
                yield conversation


def parse_row(row: Row, include_system: bool, name: str = "") -> Conversation | None:
    """Parse a row as one exchange: the instruction followed by its context, and the response."""
    instruction, context, answer = (
        row[key].strip() for key in ("instruction", "context", "response")
    )
    if not instruction or not answer:
        return None
    question = f"{instruction}\n\ncontext:\n{context}" if context else instruction
    head = (Message("system", SYSTEM),) if include_system else ()
    return Conversation((*head, Message("user", question), Message("assistant", answer)), name)
