"""One exchange with the keeper, by category: what is asked, what he says, and what would be right.

Every category draws its requests from weighted templates and its matter from the facts or from
`manners`; the same draw with `held_out` gives an exam question that no training text holds.
"""

import functools
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nielsgpt.data.primer.facts import Fact
from nielsgpt.data.primer.grammar import (
    Told,
    capitalised,
    phrases,
    pick,
    pool,
    tell,
    weighted,
    words,
    wrap,
    wrap_held_out,
)
from nielsgpt.data.primer.manners import (
    CLARIFY,
    NIELS_STRAIGHT,
    NIELS_UNKNOWN,
    PRIVATE,
    PRIVATE_STRAIGHT,
    SHORTEN,
    UNKNOWABLE,
    UNKNOWABLE_STRAIGHT,
    Manner,
)
from nielsgpt.data.primer.small_talk import FAREWELLS, GREETINGS, REMARKS
from nielsgpt.errors import DataError

PEOPLE = words(
    "Ada Bo Cleo Dan Eva Finn Gus Hana Ivo Jun Kai Lea Mira Nils Ola Pia Rex Sol Tom Uma Vera "
    "Will Yara Zoe Bert Carl Dora Elsa"
)
THINGS = words(
    "lamp boat book apple kite drum map key coin shell rope basket bottle bell hat coat spoon "
    "letter stone box ladder candle net bucket"
)
PLACES = words(
    "harbour garden forest market lighthouse river hill school kitchen beach bridge mill church "
    "jetty cellar field village shop tower island"
)
DEEDS = words("found lost bought sold painted cleaned carried mended hid dropped")
CAUSES = phrases(
    "because it was late | because the wind was strong | and went home happy | and told nobody | "
    "while the rain fell | before the sun came up | and then had soup | on a grey day in winter | "
    "while the others were asleep | and sang all the way"
)


@dataclass(frozen=True)
class Exchange:
    """A request and its reply; `key` is the part of the reply that makes it right."""

    user: str
    reply: str
    key: str
    fact: Fact | None = None


@dataclass(frozen=True)
class Lines:
    """A Manner read: its tables as tuples, heavier lines repeated."""

    topics: tuple[str, ...]
    requests: tuple[str, ...]
    held_out: tuple[str, ...]
    replies: tuple[str, ...]


class Matter:
    """What there is to talk about: the facts that dialogues may tell, sorted for the categories.

    Raises DataError when a category has nothing to talk about.
    """

    def __init__(self, facts: Iterable[Fact]) -> None:
        known = [fact for fact in facts if not fact.prose_only]
        self.facts = pool(known)
        self.keeper = self._of(known, "keeper")
        self.way = self._of(known, "way", "command")
        self.thinker = self._of(known, "thinker")

    @staticmethod
    def _of(facts: Iterable[Fact], *relations: str) -> tuple[Told, ...]:
        told = tuple(tell(fact) for fact in facts if fact.relation in relations)
        if not told:
            raise DataError(
                f"the facts hold none of the relation {relations[0]!r} that a dialogue may tell; "
                "add one to data/public_facts.json"
            )
        return told


Draw = Callable[[Matter, random.Random, bool], Exchange]


def about_fact(told: Told, rng: random.Random, held_out: bool) -> Exchange:
    """A question about this fact and its answer."""
    if held_out:
        question = wrap_held_out(pick(told.held_out, rng), rng)
    else:
        question = wrap(pick(told.questions, rng), rng)
    return Exchange(question, pick(told.replies, rng), told.fact.answer, told.fact)


def about_manner(manner: Manner, rng: random.Random, held_out: bool) -> Exchange:
    """A request of this manner and its reply; the key is the topic."""
    lines = read(manner)
    topic = pick(lines.topics, rng)
    core = pick(lines.held_out if held_out else lines.requests, rng).replace("{t}", topic)
    request = wrap_held_out(core, rng) if held_out else wrap(core, rng)
    reply = capitalised(pick(lines.replies, rng).replace("{t}", topic))
    return Exchange(request, reply, topic)


def shorten(matter: Matter, rng: random.Random, held_out: bool) -> Exchange:
    """A long sentence to shorten; the reply is its kernel."""
    thing = pick(THINGS, rng)
    article = "an" if thing[0] in "aeiou" else "a"
    kernel = f"{pick(PEOPLE, rng)} {pick(DEEDS, rng)} {article} {thing}"
    long = f"{kernel} near the {pick(PLACES, rng)} {pick(CAUSES, rng)}."
    lines = read(SHORTEN)
    core = pick(lines.held_out if held_out else lines.requests, rng)
    return Exchange(capitalised(core.replace("{t}", long)), f"{kernel}.", kernel)


def greeting(rng: random.Random) -> Exchange:
    """How a chat begins."""
    return _said(GREETINGS, rng)


def remark(rng: random.Random) -> Exchange:
    """Small talk on the way."""
    return _said(REMARKS, rng)


def farewell(rng: random.Random) -> Exchange:
    """Thanks, or how a chat ends."""
    return _said(FAREWELLS, rng)


def read(manner: Manner) -> Lines:
    """The tables of the manner as tuples of lines."""
    return _read(manner)


def fact_among(tolds: Sequence[Told], rng: random.Random, held_out: bool) -> Exchange:
    """A question about one of these facts."""
    return about_fact(tolds[int(rng.random() * len(tolds))], rng, held_out)


def private(rng: random.Random, held_out: bool) -> Exchange:
    """A question that the keeper refuses."""
    return _either(PRIVATE, PRIVATE_STRAIGHT, rng, held_out)


def unknowable(rng: random.Random, held_out: bool) -> Exchange:
    """A question that nobody can answer."""
    return _either(UNKNOWABLE, UNKNOWABLE_STRAIGHT, rng, held_out)


def unknown_to_niels(rng: random.Random, held_out: bool) -> Exchange:
    """A question about himself that the keeper cannot answer."""
    return _either(NIELS_UNKNOWN, NIELS_STRAIGHT, rng, held_out)


CATEGORIES: dict[str, Draw] = {
    "about_niels_public": lambda matter, rng, held: fact_among(matter.keeper, rng, held),
    "about_niels_unknown": lambda _, rng, held: unknown_to_niels(rng, held),
    "about_niels_private_refuse": lambda _, rng, held: private(rng, held),
    "site_navigation": lambda matter, rng, held: fact_among(matter.way, rng, held),
    "summarize_rewrite": shorten,
    "explain_thinker_one_line": lambda matter, rng, held: fact_among(matter.thinker, rng, held),
    "ask_clarifying_question": lambda _, rng, held: about_manner(CLARIFY, rng, held),
}


def _either(inside: Manner, straight: Manner, rng: random.Random, held_out: bool) -> Exchange:
    return about_manner(inside if rng.random() < 0.65 else straight, rng, held_out)


def _said(table: str, rng: random.Random) -> Exchange:
    user, reply = pick(_read_lines(table), rng).split(" | ")
    return Exchange(user, reply, reply)


@functools.cache
def _read(manner: Manner) -> Lines:
    topics = (topic for line in _read_lines(manner.topics) for topic in phrases(line))
    tables = (manner.requests, manner.held_out, manner.replies)
    return Lines(tuple(topics), *map(_read_lines, tables))


@functools.cache
def _read_lines(table: str) -> tuple[str, ...]:
    return weighted(line.strip() for line in table.strip().splitlines())
