"""OpenAssistant: trees of messages, and every way from a root to a leaf as a conversation.

A tree may branch at each turn, so one message can be in several threads; the threads of a tree
share its name as their `group` and stay together on one side of the split.
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
ROLES: dict[str, Role] = {"prompter": "user", "assistant": "assistant"}


@dataclass(frozen=True)
class TreeMessage:
    """A message of a thread: who says what, and the name that the dataset gives it."""

    id: str
    role: Role
    text: str


@dataclass(frozen=True)
class Thread:
    """One way through a tree; `leaf` is the message at which it ends, or was cut."""

    tree: str
    leaf: str
    turns: tuple[TreeMessage, ...]


def walk(
    dataset: Dataset, seed: int, english_only: bool, max_messages: int
) -> Iterator[Conversation]:
    """The threads as conversations that end with an answer; see `endings`.

    The dataset's own two splits are put together, for a conversation's side is its group's.
    """
    rows = itertools.chain.from_iterable(hf_hub.splits(dataset, seed).values())
    found = threads(rows, english_only, max_messages)
    for _, of_tree in itertools.groupby(found, key=lambda thread: thread.tree):
        for thread in endings(of_tree):
            said = tuple(Message(turn.role, turn.text) for turn in thread.turns)
            name = f"{dataset.label}, message {thread.turns[-1].id}"
            yield Conversation(said, name, thread.tree)


def threads(rows: Iterable[Row], english_only: bool, max_messages: int) -> Iterator[Thread]:
    """Every way from a root down to a leaf, cut after `max_messages`, in the order of the rows.

    A root has no parent; a message whose parent was left out, for its language, is none and goes
    with it. A way with an unknown role, or with two turns of one role in a row once the blank ones
    are skipped, is left out.
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
        log.info("%d messages in other languages are left out, and what answers them", foreign)
    for root in roots:
        open_ways: list[tuple[Row, ...]] = [(root,)]
        while open_ways:
            way = open_ways.pop()
            below = children[way[-1]["message_id"]] if len(way) < max_messages else []
            open_ways += [(*way, row) for row in reversed(below)]
            if not below and (turns := _turns(way)):
                yield Thread(root["message_tree_id"], way[-1]["message_id"], turns)


def endings(of_tree: Iterable[Thread]) -> Iterator[Thread]:
    """A tree's threads without what follows the last answer, each once.

    What is then the beginning of another thread is left out: its answers are learnt there.
    """
    kept: dict[tuple[str, ...], Thread] = {}
    for thread in of_tree:
        turns = thread.turns[: len(thread.turns) // 2 * 2]
        if turns and turns[0].role == "user":
            kept[tuple(turn.id for turn in turns)] = Thread(thread.tree, turns[-1].id, turns)
    begun = {ids[:length] for ids in kept for length in range(2, len(ids), 2)}
    yield from (thread for ids, thread in kept.items() if ids not in begun)


def _turns(way: tuple[Row, ...]) -> tuple[TreeMessage, ...]:
    """The way's turns that say something; none where their roles are not in turn."""
    if any(row["role"] not in ROLES for row in way):
        return ()
    said = [(row, row["text"].strip()) for row in way]
    turns = tuple(
        TreeMessage(row["message_id"], ROLES[row["role"]], text) for row, text in said if text
    )
    in_turn = all(one.role != next_one.role for one, next_one in itertools.pairwise(turns))
    return turns if in_turn else ()
