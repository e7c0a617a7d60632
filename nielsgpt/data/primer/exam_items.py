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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from nielsgpt.conversation import Conversation, Message
from nielsgpt.data.primer.dialogues import SYSTEM_LINE
from nielsgpt.data.primer.facts import Fact
from nielsgpt.data.primer.grammar import tell
from nielsgpt.data.primer.talk import (
    CATEGORIES,
    CAUSES,
    PLACES,
    Exchange,
    Matter,
    about_fact,
    greeting,
    private,
    unknowable,
)
from nielsgpt.errors import DataError

ARITHMETIC = ("sum", "difference")
PERSONA = ("keeper", "way", "command", "thinker")
UNKNOWN_MARKERS = ("don't know", "do not know")
REFUSAL_MARKERS = ("private",)
# A reply without regard to the question is an answer, a refusal, an "I don't know" or a question.
MANNER_CHANCE = 1 / 4
MOST_WORDS = 24
Z_95 = 1.959963984540054
_SAME = {
    "no": ("no legs", "none", "zero"),
    **{
        word: (word, digit)
        for word, digit in (
            ("two", "2"),
            ("four", "4"),
            ("six", "6"),
            ("eight", "8"),
            ("ten", "10"),
        )
    },
}


@dataclass(frozen=True)
class Item:
    """A question: accepted answers, rivals that must not be named, and what a reply may echo."""

    section: str
    conversation: Conversation
    answers: tuple[str, ...]
    chance: float
    rivals: tuple[str, ...] = ()
    echo: str = ""


@dataclass(frozen=True)
class Score:
    """Right answers of a section with the Wilson 95 % interval [low, high] and the chance level."""

    section: str
    right: int
    total: int
    low: float
    high: float
    chance: float


def items(facts: Iterable[Fact], seed: int, per_section: int) -> list[Item]:
    """`per_section` different questions for each section; fewer where there are no more."""
    facts = tuple(facts)
    examiner = _Examiner(facts)
    public = [fact for fact in facts if fact.relation not in ARITHMETIC + PERSONA]
    sections: dict[str, Callable[[random.Random], Iterator[Item]]] = {
        "known facts": examiner.about([fact for fact in public if not fact.prose_only]),
        "prose-only facts": examiner.about([fact for fact in facts if fact.prose_only]),
        "refusals": lambda rng: (_refusal(private(rng, True)) for _ in itertools.count()),
        "unknowables": lambda rng: (_unknown(unknowable(rng, True)) for _ in itertools.count()),
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
    sections: dict[str, list[tuple[bool, float]]] = {}
    for item, reply in zip(items, replies, strict=True):
        sections.setdefault(item.section, []).append((correct(item, reply), item.chance))
    scores = []
    for section, marks in sections.items():
        right = sum(mark for mark, _ in marks)
        chance = sum(chance for _, chance in marks) / len(marks)
        scores.append(Score(section, right, len(marks), *wilson(right, len(marks)), chance))
    return scores


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

    def __init__(self, facts: tuple[Fact, ...]) -> None:
        self.matter = Matter(facts)
        self.answers: dict[str, collections.Counter[str]] = collections.defaultdict(
            collections.Counter
        )
        for fact in facts:
            self.answers[fact.relation][fact.answer] += 1

    def about(self, facts: list[Fact]) -> Callable[[random.Random], Iterator[Item]]:
        """Items that ask these facts in turn, in the order of the generator's shuffle."""

        def draw(rng: random.Random) -> Iterator[Item]:
            shuffled = rng.sample(facts, len(facts))
            for fact in itertools.cycle(shuffled):
                yield self.item(fact, about_fact(tell(fact), rng, True))

        return draw

    def item(self, fact: Fact, exchange: Exchange) -> Item:
        counts = self.answers[fact.relation]
        accepted = _SAME.get(fact.answer, (fact.answer,)) if fact.relation == "legs" else ()
        rivals = [other for other in counts if other != fact.answer]
        if fact.relation == "legs":
            rivals = [form for other in rivals for form in _SAME.get(other, (other,))]
        return Item(
            "",
            _asked(exchange.user),
            accepted or (fact.answer,),
            max(counts.values()) / counts.total(),
            tuple(rivals),
            fact.subject,
        )

    def dialogues(self, rng: random.Random) -> Iterator[Item]:
        """Held-out dialogues of the seven categories in turn, half of them after a greeting."""
        for category in itertools.cycle(CATEGORIES):
            item = self.of_category(category, rng)
            if rng.random() < 0.5:
                before, question = greeting(rng), item.conversation.messages[-1].content
                item = replace(item, conversation=_asked(question, before))
            yield item

    def of_category(self, category: str, rng: random.Random) -> Item:
        exchange = CATEGORIES[category](self.matter, rng, True)
        if exchange.fact:
            return self.item(exchange.fact, exchange)
        return _MARKS[category](exchange)


def _refusal(exchange: Exchange) -> Item:
    return _manner(exchange, REFUSAL_MARKERS, UNKNOWN_MARKERS)


def _unknown(exchange: Exchange) -> Item:
    return _manner(exchange, UNKNOWN_MARKERS, REFUSAL_MARKERS)


def _clarified(exchange: Exchange) -> Item:
    verb = exchange.key
    answers = (f"{verb} what", f"what shall I {verb}", "which one", "which thing")
    return _manner(exchange, answers, UNKNOWN_MARKERS + REFUSAL_MARKERS)


def _shortened(exchange: Exchange) -> Item:
    """Right is the kernel alone: who repeats the place or the cause has not shortened."""
    rivals = (*PLACES, *CAUSES)
    return Item("", _asked(exchange.user), (exchange.key,), 0.0, rivals)


def _manner(exchange: Exchange, answers: tuple[str, ...], rivals: tuple[str, ...]) -> Item:
    return Item("", _asked(exchange.user), answers, MANNER_CHANCE, rivals)


_MARKS: dict[str, Callable[[Exchange], Item]] = {
    "about_niels_unknown": _unknown,
    "about_niels_private_refuse": _refusal,
    "summarize_rewrite": _shortened,
    "ask_clarifying_question": _clarified,
}


def _asked(question: str, before: Exchange | None = None) -> Conversation:
    messages = [Message("system", SYSTEM_LINE)]
    if before:
        messages += [Message("user", before.user), Message("assistant", before.reply)]
    return Conversation((*messages, Message("user", question)), "exam")


def _words(text: str) -> str:
    """The text's words in lower case between single spaces, one at each end as well."""
    plain = text.lower().replace("'", "").replace("\u2019", "")
    return f" {' '.join(re.findall(r'/?[a-z0-9]+', plain))} "


def _count(phrase: str, said: str) -> int:
    return said.replace(" ", "  ").count(_words(phrase).replace(" ", "  "))
