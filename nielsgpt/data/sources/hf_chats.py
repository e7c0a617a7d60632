"""Conversations of the Hub's chat datasets: OpenAssistant's trees of messages, and Dolly.

A tree may branch at each turn, so a message can be in several threads. All threads of a tree have
the same `group`, so they stay in one split.
"""

import itertools
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nielsgpt.conversation import Conversation, Message, Role
from nielsgpt.data.sources import hf_hub
from nielsgpt.data.sources.hf_hub import Dataset, Row

log = logging.getLogger("nielsgpt")
SYSTEM = "you are a helpful assistant."
ROLES: dict[str, Role] = {"prompter": "user", "assistant": "assistant"}


@dataclass(frozen=True)
class TreeMessage:
    """A message of a thread: its id in the dataset, role and text."""

    id: str
    role: Role
    text: str


@dataclass(frozen=True)
class Thread:
    """A path through a tree; `leaf` is the id of the last message."""

    tree: str
    leaf: str
    turns: tuple[TreeMessage, ...]


def read_oasst(
    dataset: Dataset, seed: int, english_only: bool, max_messages: int
) -> Iterator[Conversation]:
    """The threads as conversations that end with a reply; see `trim_threads`.

    Merges the dataset's own splits, because the group decides the split of a conversation.
    """
    rows = itertools.chain.from_iterable(hf_hub.open_splits(dataset, seed).values())
    found = list_threads(rows, english_only, max_messages)
    for _, tree_threads in itertools.groupby(found, key=lambda thread: thread.tree):
        for thread in trim_threads(tree_threads):
            said = tuple(Message(turn.role, turn.text) for turn in thread.turns)
            name = f"{dataset.label}, message {thread.turns[-1].id}"
            yield Conversation(said, name, thread.tree)


def list_threads(rows: Iterable[Row], english_only: bool, max_messages: int) -> Iterator[Thread]:
    """Every path from a root to a leaf, cut after `max_messages`, in the order of the rows.

    A message in another language is dropped with all of its descendants. A path with an unknown
    role, or whose non-blank turns do not alternate, is dropped.
    """
    children: dict[str, list[Row]] = defaultdict(list)
    roots, foreign = [], 0
    for row in rows:
        if english_only and row["lang"] != "en":
            foreign += 1
        elif row["parent_id"] is None:
            roots.append(row)
        else:
            children[row["parent_id"]].append(row)
    if foreign:
        log.info("%d messages in other languages are left out, with their replies", foreign)
    for root in roots:
        open_paths: list[tuple[Row, ...]] = [(root,)]
        while open_paths:
            path = open_paths.pop()
            below = children[path[-1]["message_id"]] if len(path) < max_messages else []
            open_paths += [(*path, row) for row in reversed(below)]
            if not below and (turns := _thread_turns(path)):
                yield Thread(root["message_tree_id"], path[-1]["message_id"], turns)


def trim_threads(tree_threads: Iterable[Thread]) -> Iterator[Thread]:
    """The threads of a tree, cut after the last reply, without duplicates.

    A thread that is the beginning of another is dropped: its replies are trained on there.
    """
    kept: dict[tuple[str, ...], Thread] = {}
    for thread in tree_threads:
        turns = thread.turns[: len(thread.turns) // 2 * 2]
        if turns and turns[0].role == "user":
            kept[tuple(turn.id for turn in turns)] = Thread(thread.tree, turns[-1].id, turns)
    prefixes = {ids[:length] for ids in kept for length in range(2, len(ids), 2)}
    yield from (thread for ids, thread in kept.items() if ids not in prefixes)


def read_dolly(dataset: Dataset, seed: int, include_system: bool) -> Iterator[Conversation]:
    """One conversation per row, except rows with a blank instruction or response."""
    for rows in hf_hub.open_splits(dataset, seed).values():
        for number, row in enumerate(rows, start=1):
            conversation = parse_dolly_row(row, include_system, f"{dataset.label}, row {number}")
            if conversation is not None:
                yield conversation


def parse_dolly_row(row: Row, include_system: bool, name: str = "") -> Conversation | None:
    """Parse a row as one exchange: the instruction followed by its context, and the response."""
    instruction, context, answer = (
        row[key].strip() for key in ("instruction", "context", "response")
    )
    if not instruction or not answer:
        return None
    question = f"{instruction}\n\ncontext:\n{context}" if context else instruction
    head = (Message("system", SYSTEM),) if include_system else ()
    return Conversation((*head, Message("user", question), Message("assistant", answer)), name)


def _thread_turns(path: tuple[Row, ...]) -> tuple[TreeMessage, ...]:
    """The non-blank turns of a path; empty if their roles do not alternate."""
    if any(row["role"] not in ROLES for row in path):
        return ()
    said = [(row, row["text"].strip()) for row in path]
    turns = tuple(
        TreeMessage(row["message_id"], ROLES[row["role"]], text) for row, text in said if text
    )
    in_turn = all(one.role != next_one.role for one, next_one in itertools.pairwise(turns))
    return turns if in_turn else ()
