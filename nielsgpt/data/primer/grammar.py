"""How a fact becomes sentences: wordings per relation, and wrappers that multiply the questions.

    Fact("capital", "Peru", "Lima")
    statements   "Lima is the capital city of Peru."
    questions    "what is the capital of Peru?", wrapped: "Quick question: what is ...?"
    held_out     "I forgot the capital of Peru. What is it?"   only ever in the exam
    replies      "Lima."

Held-out wordings share no core with the training ones; `exam` asks nothing else.
"""

import functools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nielsgpt.data.primer.facts import Fact
from nielsgpt.data.primer.wordings_keeper import KEEPER
from nielsgpt.data.primer.wordings_life import LIFE
from nielsgpt.data.primer.wordings_order import ORDER
from nielsgpt.data.primer.wordings_world import WORLD
from nielsgpt.errors import DataError


def words(text: str) -> tuple[str, ...]:
    """The words of the text."""
    return tuple(text.split())


def phrases(text: str) -> tuple[str, ...]:
    """The parts of the text between ` | `."""
    return tuple(text.split(" | "))


OPENERS = phrases(
    "Quick question: | Niels, | Keeper, | Tell me, | Tell me: | Please, | Please tell me: | "
    "Say, | Well, | Now | And | So, | One more: | One question: | Hello, | Hey Niels, | "
    "Hi Niels, | Excuse me, | I wonder, | I wonder: | For my notes: | For my school book: | "
    "My sister asks: | My teacher asks: | Good evening, | Dear keeper, | I am learning. | "
    "I have a question. | Help me. | I do not remember. | Listen: | Next: | Just this: | "
    "Old friend,"
)
CLOSERS = phrases(
    "Thanks. | Thank you. | Be quick. | I need it for school. | Do you know? | In short. | "
    "I am curious. | Take your time. | Just the answer. | I bet you know."
)
HELD_OUT_OPENERS = phrases(
    "Before you sleep, Niels: | One thing, old keeper: | Dear Niels, | Help me, please: | "
    "A short question: | I am curious: | My friend asks:"
)
# How often a fact of the relation is told, against 2 for most: the harder ones more often.
WEIGHTS = {"capital": 3, "symbol": 3, "after": 3, "before": 3, "command": 3}


@dataclass(frozen=True)
class Wording:
    """The lines of one relation, with {placeholders}; a repeated line is a heavier one."""

    statements: tuple[str, ...]
    questions: tuple[str, ...]
    held_out: tuple[str, ...]
    replies: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """A fact in all its wordings; questions start in lower case, to be wrapped."""

    fact: Fact
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    held_out: tuple[str, ...]
    replies: tuple[str, ...]


def weighted(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines; one that reads `3| text` stands three times."""
    found: list[str] = []
    for line in lines:
        weight, bar, text = line.partition("| ")
        found += [text] * int(weight) if bar and weight.isdigit() else [line]
    return tuple(found)


@functools.cache
def wordings() -> dict[str, Wording]:
    """The wordings of every relation, by its name."""
    tables = {**WORLD, **LIFE, **ORDER, **KEEPER}
    return {relation: _parse(table) for relation, table in tables.items()}


@functools.cache
def tell(fact: Fact) -> Told:
    """The fact in all its wordings. Raises DataError for a relation without wordings."""
    if fact.relation not in wordings():
        raise DataError(
            f"the relation {fact.relation!r} of {fact.subject!r} has no wordings; known are "
            f"{', '.join(wordings())}; correct data/public_facts.json"
        )
    wording = wordings()[fact.relation]
    slots = _slots(fact)
    statements, replies = (
        tuple(capitalised(line.format_map(slots)) for line in lines)
        for lines in (wording.statements, wording.replies)
    )
    questions, held_out = (
        tuple(line.format_map(slots) for line in lines)
        for lines in (wording.questions, wording.held_out)
    )
    return Told(fact, statements, questions, held_out, replies)


def pool(facts: Iterable[Fact]) -> tuple[Told, ...]:
    """The facts told, each as often as its relation weighs: draw from it uniformly."""
    return tuple(told for fact in facts for told in [tell(fact)] * WEIGHTS.get(fact.relation, 2))


def pick(options: Sequence[str], rng: random.Random) -> str:
    """One of the options, each as likely as the other (much faster than `rng.choice`)."""
    return options[int(rng.random() * len(options))]


def wrap(core: str, rng: random.Random) -> str:
    """The question as a person would put it: bare, or with an opener, a closer or `please`."""
    form = rng.random()
    if form < 0.35:
        return capitalised(core)
    if form < 0.80:
        return opened(pick(OPENERS, rng), core)
    if form < 0.88 and core[-1] in "?.":
        return f"{capitalised(core[:-1])}, please{core[-1]}"
    if form < 0.93:
        return core.lower()
    return f"{capitalised(core)} {pick(CLOSERS, rng)}"


def wrap_held_out(core: str, rng: random.Random) -> str:
    """A held-out question as the exam puts it: bare, or with an opener, some of them held out."""
    form = rng.random()
    if form < 0.5:
        return capitalised(core)
    return opened(pick(OPENERS if form < 0.75 else HELD_OUT_OPENERS, rng), core)


def opened(opener: str, core: str) -> str:
    """The core behind an opener: a capital follows a full stop."""
    return f"{opener} {capitalised(core) if opener[-1] in '.!?' else core}"


def capitalised(text: str) -> str:
    """The text with its first letter in upper case and the rest untouched."""
    return text[:1].upper() + text[1:]


def _parse(table: str) -> Wording:
    lines = [line.strip() for line in table.strip().splitlines()]
    marked = {mark: weighted(line[2:] for line in lines if line.startswith(mark)) for mark in "?!>"}
    plain = weighted(line for line in lines if line[0] not in "?!>")
    return Wording(plain, marked["?"], marked["!"], marked[">"])


def _slots(fact: Fact) -> dict[str, str]:
    x, _, rest = fact.subject.partition(" ")
    return {
        "s": fact.subject,
        "o": fact.answer,
        "an": _with_article(fact.subject),
        "ao": _with_article(fact.answer),
        "x": x,
        "y": rest.rpartition(" ")[2],
    }


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"
