"""Questions whose answers the project knows, in wordings that no training text holds, and marks.

An answer is right when it names an accepted form as whole words and no rival: another answer of
the same relation, or the marker of another manner. The chance level of an item is what the best
reply that ignores the subject would score: the share of the most common answer of its relation.
"""

import collections
import itertools
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from nielsgpt.conversation import Conversation, Message
from nielsgpt.data.primer.facts import Fact
from nielsgpt.data.primer.persona import Persona
from nielsgpt.data.primer.talk import (
    ARITHMETIC,
    OWN,
    Exchange,
    Matter,
    about_fact,
    categories,
    converse,
    private,
    unknowable,
)
from nielsgpt.errors import DataError

# A reply without regard to the question is an answer, a refusal, an "I don't know" or a question.
MANNER_CHANCE = 1 / 4
MOST_WORDS = 24
WORD = re.compile(r"/?[^\W_]+")
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Item:
    """A question: accepted answers, rivals that must not be named, and what a reply may echo.

    Where it has patterns to accept, those and the ones to reject decide alone. Without a chance of
    its own, the chance is the share of the exam's other replies that would be right.
    """

    section: str
    conversation: Conversation
    answers: tuple[str, ...]
    chance: float | None
    rivals: tuple[str, ...] = ()
    echo: str = ""
    accept: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """Right answers of a section with the Wilson 95 % interval [low, high] and the chance level."""

    section: str
    right: int
    total: int
    low: float
    high: float
    chance: float


def items(persona: Persona, seed: int, per_section: int) -> list[Item]:
    """`per_section` different questions for each section; fewer where there are no more."""
    facts = persona.facts
    examiner = _Examiner(persona)
    matter = examiner.matter
    own = [name for name in OWN if name != "question"]
    public = [fact for fact in facts if fact.relation not in (*ARITHMETIC, *own)]
    sections: dict[str, Callable[[random.Random], Iterator[Item]]] = {
        "known facts": examiner.about([fact for fact in public if not fact.prose_only]),
        "prose-only facts": examiner.about([fact for fact in facts if fact.prose_only]),
        "refusals": lambda rng: (
            examiner.refusal(private(matter, rng, True)) for _ in itertools.count()
        ),
        "unknowables": lambda rng: (
            examiner.unknown(unknowable(matter, rng, True)) for _ in itertools.count()
        ),
        "arithmetic": examiner.about([fact for fact in facts if fact.relation in ARITHMETIC]),
        "dialogues": examiner.dialogues,
    }
    asked: dict[str, Item] = {}
    for section, draw in sections.items():
        rng = random.Random(f"{seed}:exam:{section}")
        enough = len(asked) + per_section
        for item in itertools.islice(draw(rng), 50 * per_section):
            if len(asked) == enough:
                break
            question = item.conversation.messages[-1].content
            asked.setdefault(question, replace(item, section=section))
    return list(asked.values())


def correct(item: Item, reply: str) -> bool:
    """Whether the reply names an accepted answer, no rival, and is not a speech."""
    if item.accept:
        return _matches(item.accept, reply) and not _matches(item.reject, reply)
    said = _words(reply)
    if said.count(" ") - 1 > MOST_WORDS:
        return False
    echo = _words(item.echo)
    accepted = set(" ".join(map(_words, item.answers)).split())
    restated = any(word in said.split() for word in echo.split() if word not in accepted)
    # "6 minus 3 is" names 3 and does not answer; "3." does.
    right = any(
        _count(answer, said) > (_count(answer, echo) if restated else 0) for answer in item.answers
    )
    for answer in item.answers:
        said = said.replace(_words(answer), " | ")  # New Delhi does not name a rival Delhi
    return right and not any(_count(rival, said) > _count(rival, echo) for rival in item.rivals)


def grade(items: Sequence[Item], replies: Sequence[str]) -> list[Score]:
    """The score of each section, in order. Raises DataError when a reply is missing."""
    if len(items) != len(replies):
        raise DataError(
            f"the exam has {len(items)} questions and {len(replies)} replies; give one for each"
        )
    given = collections.Counter(replies)
    sections: dict[str, list[tuple[bool, float]]] = {}
    for item, reply in zip(items, replies, strict=True):
        chance = _chance(item, given, reply) if item.chance is None else item.chance
        sections.setdefault(item.section, []).append((correct(item, reply), chance))
    scores = []
    for section, marks in sections.items():
        right = sum(mark for mark, _ in marks)
        chance = sum(chance for _, chance in marks) / len(marks)
        scores.append(Score(section, right, len(marks), *wilson(right, len(marks)), chance))
    return scores


def _chance(item: Item, given: collections.Counter[str], own: str) -> float:
    """The share of the other replies that would be right here."""
    right = sum(count for reply, count in given.items() if correct(item, reply))
    return (right - correct(item, own)) / max(1, given.total() - 1)


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share after Wilson (1927), with z = 1.96 and p = right / total:

    (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n);  8 of 10 gives 0.490 to 0.943.
    """
    if total == 0:
        return 0.0, 1.0
    share, pull = right / total, Z_95**2 / total
    middle = (share + pull / 2) / (1 + pull)
    half = Z_95 * math.sqrt(share * (1 - share) / total + pull / (4 * total)) / (1 + pull)
    return max(0.0, middle - half), min(1.0, middle + half)


class _Examiner:
    """Makes items; knows every relation's answers, the prose_only ones too."""

    def __init__(self, persona: Persona) -> None:
        self.persona = persona
        self.matter = Matter(persona)
        self.answers: dict[str, collections.Counter[str]] = collections.defaultdict(
            collections.Counter
        )
        for fact in persona.facts:
            self.answers[fact.relation][fact.answer] += 1

    def about(self, facts: list[Fact]) -> Callable[[random.Random], Iterator[Item]]:
        """Items that ask these facts in turn, in the order of the generator's shuffle."""

        def draw(rng: random.Random) -> Iterator[Item]:
            shuffled = rng.sample(facts, len(facts))
            for fact in itertools.cycle(shuffled):
                told = self.matter.grammar.tell(fact)
                yield self.item(fact, about_fact(self.matter, told, rng, True))

        return draw

    def item(self, fact: Fact, exchange: Exchange) -> Item:
        counts = self.answers[fact.relation]
        return Item(
            "",
            self.ask(exchange.user),
            self.forms(fact.answer),
            max(counts.values()) / counts.total(),
            tuple(form for other in counts if other != fact.answer for form in self.forms(other)),
            fact.subject,
        )

    def forms(self, answer: str) -> tuple[str, ...]:
        """The answer, and how else it is written: two, 2."""
        return (answer, *self.persona.wordings.number_words.get(answer, ()))

    def dialogues(self, rng: random.Random) -> Iterator[Item]:
        """Held-out dialogues of the categories in turn, half of them after a greeting."""
        for category in itertools.cycle(categories(self.matter)):
            item = self.of_category(category, rng)
            if rng.random() < 0.5:
                question = item.conversation.messages[-1].content
                before = converse(self.matter, rng, "greeting")
                item = replace(item, conversation=self.ask(question, before))
            yield item

    def of_category(self, category: str, rng: random.Random) -> Item:
        exchange = categories(self.matter)[category](self.matter, rng, True)
        if exchange.fact:
            return self.item(exchange.fact, exchange)
        marks = {
            "about_self_unknown": self.unknown,
            "about_self_private_refuse": self.refusal,
            "summarize_rewrite": self.shorten_item,
            "ask_clarifying_question": self.clarify,
        }
        return marks[category](exchange)

    def refusal(self, exchange: Exchange) -> Item:
        known = self.persona
        return self.manner(exchange, known.refusal_markers, known.dont_know_markers)

    def unknown(self, exchange: Exchange) -> Item:
        known = self.persona
        return self.manner(exchange, known.dont_know_markers, known.refusal_markers)

    def clarify(self, exchange: Exchange) -> Item:
        forms = self.persona.wordings.manners["clarify"].accepted
        answers = tuple(form.replace("{t}", exchange.key) for form in forms)
        rivals = (*self.persona.dont_know_markers, *self.persona.refusal_markers)
        return self.manner(exchange, answers, rivals)

    def shorten_item(self, exchange: Exchange) -> Item:
        """Right is the kernel alone: who repeats the place or the cause has not shorten_item."""
        rivals = (*self.matter.grammar.lexicon("place"), *self.matter.grammar.lexicon("cause"))
        return Item("", self.ask(exchange.user), (exchange.key,), 0.0, rivals)

    def manner(self, exchange: Exchange, answers: tuple[str, ...], rivals: tuple[str, ...]) -> Item:
        return Item("", self.ask(exchange.user), answers, MANNER_CHANCE, rivals)

    def ask(self, question: str, before: Exchange | None = None) -> Conversation:
        messages = [Message("system", self.persona.system)]
        if before:
            messages += [Message("user", before.user), Message("assistant", before.reply)]
        return Conversation((*messages, Message("user", question)), "exam")


def _matches(patterns: tuple[str, ...], reply: str) -> bool:
    return any(re.search(pattern, reply, re.IGNORECASE) for pattern in patterns)


def _words(text: str) -> str:
    """The text's words in lower case between single spaces, one at each end as well."""
    plain = text.lower().replace("'", "").replace("\u2019", "")
    return f" {' '.join(WORD.findall(plain))} "


def _count(phrase: str, said: str) -> int:
    return said.replace(" ", "  ").count(_words(phrase).replace(" ", "  "))
