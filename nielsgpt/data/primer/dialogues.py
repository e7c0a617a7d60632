"""Conversations with the keeper: an endless mix for training, and the seven categories as text.

The i-th dialogue is a pure function of (facts, seed, i); a prose_only fact is never told in one.
"""

import random
from collections.abc import Callable, Iterable, Iterator

from nielsgpt.conversation import ROLES, Conversation, Message
from nielsgpt.data.primer.facts import Fact
from nielsgpt.data.primer.talk import (
    CATEGORIES,
    Exchange,
    Matter,
    fact_among,
    farewell,
    greeting,
    private,
    remark,
    unknowable,
)
from nielsgpt.errors import DataError

SYSTEM_LINE = "You are Niels, a terse, kind lighthouse keeper."
OTHER_SYSTEM_LINES = (
    "You are a lighthouse keeper. Answer in short.",
    "Answer in one short line.",
    "You keep a light by the sea. Be brief and kind.",
    "You are Niels. Say only what you know.",
)
DELIMITER = "\n\n<dialogue>\n\n"
# The share of each kind of exchange, in hundredths; categories come in equal parts.
SHARES = {"fact": 59, "unknowable": 7, "private": 8, "greeting": 3, "remark": 4, "category": 19}


def dialogues(facts: Iterable[Fact], seed: int) -> Iterator[Conversation]:
    """Endlessly many conversations of one to three exchanges, mostly about facts."""
    matter = Matter(facts)
    draws = _draws()
    index = 0
    while True:
        rng = random.Random(f"{seed}:dialogue:{index}")
        form = rng.random()
        count = 1 if form < 0.55 else 2 if form < 0.83 else 3
        exchanges = [draws[int(rng.random() * len(draws))](matter, rng) for _ in range(count)]
        if count > 1 and rng.random() < 0.2:
            exchanges[0] = greeting(rng)
        if count > 1 and rng.random() < 0.2:
            exchanges[-1] = farewell(rng)
        yield _conversation(exchanges, _system(rng), f"primer dialogue {index}")
        index += 1


def category_dialogues(
    facts: Iterable[Fact], seed: int, n_per_category: int, shuffle: bool
) -> list[Conversation]:
    """Each of the seven categories `n_per_category` times, in order or shuffled by the seed.

    The dialogues of a category differ from each other for as long as its templates allow it.
    """
    matter = Matter(facts)
    found: list[Conversation] = []
    for category, draw in CATEGORIES.items():
        rng = random.Random(f"{seed}:{category}")
        asked: set[str] = set()
        for number in range(n_per_category):
            exchange = draw(matter, rng, False)
            for _ in range(100):
                if exchange.user not in asked:
                    break
                exchange = draw(matter, rng, False)
            asked.add(exchange.user)
            found.append(_conversation([exchange], SYSTEM_LINE, f"{category} {number}"))
    if shuffle:
        random.Random(f"{seed}:shuffle").shuffle(found)
    return found


def as_text(conversations: Iterable[Conversation]) -> str:
    """The conversations as lines `role: text`, joined by a `<dialogue>` line, one newline last.

    Raises DataError for a text that would not read back: one with a newline or a role tag.
    """
    return DELIMITER.join(_lines(conversation) for conversation in conversations) + "\n"


def _lines(conversation: Conversation) -> str:
    for message in conversation.messages:
        text = message.content
        if len(text.splitlines()) > 1 or any(f"{role}:" in text.lower() for role in ROLES):
            raise DataError(
                f"{conversation.name or 'conversation'}: {text!r} has a newline or a role tag "
                "inside and cannot be written as a dialogue; take it out"
            )
    return "\n".join(f"{message.role}: {message.content}" for message in conversation.messages)


def _conversation(exchanges: list[Exchange], system: str, name: str) -> Conversation:
    messages = [Message("system", system)] if system else []
    for exchange in exchanges:
        messages += [Message("user", exchange.user), Message("assistant", exchange.reply)]
    return Conversation(tuple(messages), name)


def _system(rng: random.Random) -> str:
    form = rng.random()
    if form < 0.78:
        return SYSTEM_LINE
    return "" if form < 0.93 else OTHER_SYSTEM_LINES[int(rng.random() * len(OTHER_SYSTEM_LINES))]


def _draws() -> list[Callable[[Matter, random.Random], Exchange]]:
    kinds: dict[str, Callable[[Matter, random.Random], Exchange]] = {
        "fact": lambda matter, rng: fact_among(matter.facts, rng, False),
        "unknowable": lambda _, rng: unknowable(rng, False),
        "private": lambda _, rng: private(rng, False),
        "greeting": lambda _, rng: greeting(rng),
        "remark": lambda _, rng: remark(rng),
        "category": _any_category,
    }
    return [kinds[kind] for kind, share in SHARES.items() for _ in range(share)]


def _any_category(matter: Matter, rng: random.Random) -> Exchange:
    draws = list(CATEGORIES.values())
    return draws[int(rng.random() * len(draws))](matter, rng, False)
