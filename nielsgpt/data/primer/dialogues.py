"""Conversations with a persona: an endless mix for training, and the categories as text.

The i-th dialogue is a pure function of (persona, seed, i); a prose_only fact is never told in one.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from nielsgpt.conversation import ROLES, Conversation, Message
from nielsgpt.data.primer import withheld
from nielsgpt.data.primer.grammar import pick
from nielsgpt.data.primer.persona import Persona
from nielsgpt.data.primer.talk import (
    Exchange,
    Matter,
    ask_twice,
    categories,
    converse,
    fact_among,
    far,
    follow_up,
    paste,
    premise,
    private,
    unknowable,
)
from nielsgpt.errors import DataError

DELIMITER = "\n\n<dialogue>\n\n"
MOST_EXCHANGES = 3
BLURRED, LONGEST_BLURRED = 0.25, 60  # share of messages typed in haste, their most characters
# The share of each kind of exchange, in hundredths; categories come in equal parts.
SHARES = {
    "fact": 46,
    "premise": 2,
    "follow_up": 3,
    "repeated": 1,
    "paste": 1,
    "far": 12,
    "unknowable": 4,
    "private": 5,
    "talk": 17,
    "category": 9,
}


def dialogues(persona: Persona, seed: int) -> Iterator[Conversation]:
    """Endlessly many conversations of one to three exchanges, mostly about facts."""
    matter = Matter(persona)
    draws = _draws(matter)
    index = 0
    while True:
        rng = random.Random(f"{seed}:dialogue:{index}")
        while True:
            conversation = _dialogue(matter, draws, rng, f"primer dialogue {index}")
            if not withheld.stands_in(" ".join(m.content for m in conversation.messages)):
                break
        yield conversation
        index += 1


def _dialogue(
    matter: Matter,
    draws: list[Callable[[Matter, random.Random], list[Exchange]]],
    rng: random.Random,
    name: str,
) -> Conversation:
    form = rng.random()
    count = 1 if form < 0.55 else 2 if form < 0.83 else MOST_EXCHANGES
    exchanges: list[Exchange] = []
    while len(exchanges) < count:
        exchanges += draws[int(rng.random() * len(draws))](matter, rng)
    if count > 1 and rng.random() < 0.2:
        exchanges = [converse(matter, rng, "greeting"), *exchanges]
    exchanges = exchanges[:MOST_EXCHANGES]
    if 1 < len(exchanges) == count and rng.random() < 0.2:
        exchanges[-1] = converse(matter, rng, "thanks" if rng.random() < 0.5 else "bye")
    exchanges = [_blur(matter, exchange, rng) for exchange in exchanges]
    return _conversation(exchanges, _system(matter.persona, rng), name)


def category_dialogues(
    persona: Persona, seed: int, n_per_category: int, shuffle: bool
) -> list[Conversation]:
    """Each of the persona's categories `n_per_category` times, in order or shuffled by the seed.

    The dialogues of a category differ from each other for as long as its templates allow it.
    """
    matter = Matter(persona)
    found: list[Conversation] = []
    for category, draw in categories(matter).items():
        rng = random.Random(f"{seed}:{category}")
        asked: set[str] = set()
        for number in range(n_per_category):
            exchange = draw(matter, rng, False)
            for _ in range(100):
                if exchange.user not in asked:
                    break
                exchange = draw(matter, rng, False)
            asked.add(exchange.user)
            found.append(_conversation([exchange], persona.system, f"{category} {number}"))
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


def _system(persona: Persona, rng: random.Random) -> str:
    form = rng.random()
    if form < 0.78:
        return persona.system
    if form < 0.93:
        return ""
    values = {"name": persona.name, "about": persona.about}
    return pick(persona.wordings.other_systems, rng).format_map(values)


def _draws(matter: Matter) -> list[Callable[[Matter, random.Random], list[Exchange]]]:
    kinds: dict[str, Callable[[Matter, random.Random], list[Exchange]]] = {
        "fact": lambda matter, rng: [fact_among(matter, matter.facts, rng, False)],
        "unknowable": lambda matter, rng: [unknowable(matter, rng, False)],
        "private": lambda matter, rng: [private(matter, rng, False)],
        "far": lambda matter, rng: [far(matter, rng)],
        "talk": lambda matter, rng: [converse(matter, rng)],
        "repeated": ask_twice,
        "paste": lambda matter, rng: [paste(matter, rng)],
        "category": _any_category,
    }
    if matter.siblings:
        kinds |= {"premise": lambda matter, rng: [premise(matter, rng)], "follow_up": follow_up}
    return [draw for kind, draw in kinds.items() for _ in range(SHARES[kind])]


def _blur(matter: Matter, exchange: Exchange, rng: random.Random) -> Exchange:
    """The exchange, in a fifth of the cases with its request as it is typed in haste."""
    if rng.random() >= BLURRED or len(exchange.user) > LONGEST_BLURRED:
        return exchange
    return replace(exchange, user=matter.grammar.blur(exchange.user, rng))


def _any_category(matter: Matter, rng: random.Random) -> list[Exchange]:
    draws = list(categories(matter).values())
    return [draws[int(rng.random() * len(draws))](matter, rng, False)]
