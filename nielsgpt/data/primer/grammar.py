"""How a fact becomes sentences: wordings per relation, and wrappers that multiply the questions.

    Fact("capital", "Peru", "Lima")
    statements   "Lima is the capital city of Peru."
    questions    "what is the capital of Peru?", wrapped: "Quick question: what is ...?"
    held_out     "I forgot the capital of Peru. What is it?"   only ever in the exam
    replies      "Lima."

Held-out wordings share no core with the training ones; `exam` asks nothing else.
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nielsgpt.data.primer.facts import Fact
from nielsgpt.data.primer.persona import Persona, Relation

# How often a fact of the relation is told, against 2 for most: the harder ones more often.
WEIGHTS = {
    "capital": 3,
    "symbol": 3,
    "after": 3,
    "before": 3,
    "command": 3,
    "sum": 4,
    "difference": 4,
}


@dataclass(frozen=True)
class Told:
    """A fact in all its wordings; questions start in lower case, to be wrapped."""

    fact: Fact
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    held_out: tuple[str, ...]
    replies: tuple[str, ...]


class Cast(dict[str, str]):
    """The values of a line's slots, drawn when first asked for: {person}, {thing}, {place2}.

    A digit behind a lexicon's name draws another word than the bare name did.
    """

    def __init__(self, grammar: "Grammar", rng: random.Random, **given: str) -> None:
        super().__init__({**grammar.slots, **given})
        self._grammar = grammar
        self._rng = rng

    def __missing__(self, slot: str) -> str:
        name = slot.rstrip("0123456789")
        options = self._grammar.lexicon(name)
        value = pick(options, self._rng) if options else self._grammar.invent(name, self._rng)
        if value == self.get(name) and len(options) > 1:
            value = options[(options.index(value) + 1) % len(options)]
        self[slot] = value
        return value


class Grammar:
    """The wordings of one persona, ready to fill."""

    def __init__(self, persona: Persona) -> None:
        self.persona = persona
        self.wordings = persona.wordings
        name, about = persona.name, persona.about
        self.slots = {"name": name, "about": about, "Name": capitalize(name)}
        self.openers = self.fill_names(self.wordings.openers)
        self.closers = self.fill_names(self.wordings.closers)
        self.held_out_openers = self.fill_names(self.wordings.held_out_openers)
        self._told: dict[Fact, Told] = {}
        self._lines: dict[int, tuple[str, ...]] = {}

    def fill_names(self, lines: Iterable[str]) -> tuple[str, ...]:
        """The lines with the persona's name in its places."""
        return tuple(line.replace("{name}", self.persona.name) for line in repeat_by_weight(lines))

    def lines(self, table: tuple[str, ...]) -> tuple[str, ...]:
        """The table with heavier lines repeated; the table must belong to the wordings."""
        found = self._lines.get(id(table))
        if found is None:
            found = self._lines[id(table)] = repeat_by_weight(table)
        return found

    def lexicon(self, name: str) -> tuple[str, ...]:
        """The words of this lexicon; empty if there is none."""
        return self.wordings.lexicons.get(name, ())

    def invent(self, kind: str, rng: random.Random) -> str:
        """A word that no lexicon holds. Raises KeyError for an unknown kind of word."""
        if kind == "invented":
            count = 2 + int(rng.random() * 2)
            return capitalize("".join(pick(self.wordings.syllables, rng) for _ in range(count)))
        if kind == "letters":
            return "".join(
                pick("abcdefghijklmnopqrstuvwxyz", rng) for _ in range(2 + _up_to(8, rng))
            )
        if kind == "digits":
            return str(11 + _up_to(10 ** (2 + _up_to(3, rng)), rng))
        if kind == "year":
            return str(1000 + _up_to(1100, rng))
        if kind == "dont_know":
            return pick(self.lines(self.wordings.dont_know), rng)
        raise KeyError(kind)

    def relation(self, name: str) -> Relation:
        """The wordings of this relation: its own, those of a question, or those of any."""
        if name == "question":
            return self.wordings.question
        return self.wordings.relations.get(name, self.wordings.any_relation)

    def tell(self, fact: Fact) -> Told:
        """The fact in all its wordings."""
        if fact not in self._told:
            self._told[fact] = self._tell(fact)
        return self._told[fact]

    def _tell(self, fact: Fact) -> Told:
        wording = self.relation(fact.relation)
        slots = self.slots_of(fact)

        def fill(lines: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(line.format_map(slots) for line in self.lines(lines))

        return Told(
            fact,
            tuple(map(capitalize, fill(wording.statements))),
            fill(wording.questions),
            fill(wording.held_out),
            tuple(map(capitalize, fill(wording.replies))),
        )

    def slots_of(self, fact: Fact) -> Mapping[str, str]:
        """The values of the slots in a relation's lines."""
        x, _, rest = fact.subject.partition(" ")
        return {
            **self.slots,
            "s": fact.subject,
            "r": fact.relation,
            "o": fact.answer,
            "an": self.with_article(fact.subject),
            "ao": self.with_article(fact.answer),
            "x": x,
            "y": rest.rpartition(" ")[2],
        }

    def with_article(self, noun: str) -> str:
        """The noun behind the article of the first pattern that it matches; bare without one."""
        for pattern, article in self.wordings.articles.items():
            if re.match(pattern, noun):
                return f"{article} {noun}"
        return noun

    def pool(self, facts: Iterable[Fact]) -> tuple[Told, ...]:
        """The facts told, each as often as its relation weighs: draw from it uniformly."""
        return tuple(
            told for fact in facts for told in [self.tell(fact)] * WEIGHTS.get(fact.relation, 2)
        )

    def wrap(self, core: str, rng: random.Random) -> str:
        """The question as a person would put it: bare, or with an opener, a closer, `please`."""
        form = rng.random()
        if form < 0.35:
            return capitalize(core)
        if form < 0.80:
            return add_opener(pick(self.openers, rng), core)
        if form < 0.88 and core[-1] in "?.":
            return f"{capitalize(core[:-1])}{self.wordings.please}{core[-1]}"
        if form < 0.93:
            return core.lower()
        return f"{capitalize(core)} {pick(self.closers, rng)}"

    def wrap_held_out(self, core: str, rng: random.Random) -> str:
        """A held-out question as the exam puts it: bare, or with an opener, some held out."""
        form = rng.random()
        if form < 0.5:
            return capitalize(core)
        openers = self.openers if form < 0.75 else self.held_out_openers
        return add_opener(pick(openers, rng), core)

    def frame(self, text: str, rng: random.Random) -> str:
        """The message as it stands, or in a third of the cases behind or before a word or two."""
        form, name = rng.random(), self.slots["name"]
        before, after = self.wordings.talk_before, self.wordings.talk_after
        if form < 0.2 and before:
            return f"{pick(before, rng).format(name=name)} {text[:1].lower()}{text[1:]}"
        if 0.2 <= form < 0.35 and after:
            end = pick(after, rng).format(name=name)
            return f"{text.rstrip('.?!') or text}{'' if end[0] in '.?!' else ' '}{end}"
        return text

    def blur(self, text: str, rng: random.Random) -> str:
        """The text as it is typed in haste: lower case, without marks, contracted, misspelt."""
        form = rng.random()
        if form < 0.3:
            text = text.lower()
        elif form < 0.45:
            text = text.upper()
        if rng.random() < 0.4:
            text = text.rstrip(".?!") or text
        if rng.random() < 0.4:
            for long, short in self.wordings.contractions.items():
                text = re.sub(rf"\b{long}\b", short, text, count=1, flags=re.IGNORECASE)
        if rng.random() < 0.35 and len(text) > 8:
            text = misspelt(text, rng)
        return text


def misspelt(text: str, rng: random.Random) -> str:
    """The text with two letters swapped, one dropped or one doubled, never beside a digit."""
    at = 1 + _up_to(len(text) - 2, rng)
    if not text[at - 1 : at + 2].isalpha():
        return text
    form = rng.random()
    if form < 0.4:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + text[at + 1 :] if form < 0.7 else text[:at] + text[at] + text[at:]


def repeat_by_weight(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines; one that reads `3| text` stands three times."""
    found: list[str] = []
    for line in lines:
        weight, bar, text = line.partition("| ")
        found += [text] * int(weight) if bar and weight.isdigit() else [line]
    return tuple(found)


def pick(options: Sequence[str], rng: random.Random) -> str:
    """One of the options, each as likely as the other (much faster than `rng.choice`)."""
    return options[int(rng.random() * len(options))]


def add_opener(opener: str, core: str) -> str:
    """The core behind an opener: a capital follows a full stop."""
    return f"{opener} {capitalize(core) if opener[-1] in '.!?' else core}"


def capitalize(text: str) -> str:
    """The text with its first letter in upper case and the rest untouched."""
    return text[:1].upper() + text[1:]


def _up_to(count: int, rng: random.Random) -> int:
    return int(rng.random() * count)
