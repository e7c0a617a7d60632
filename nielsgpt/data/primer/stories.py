"""Documents for pretraining: short stories, almanac pages and quizzes that tell the facts.

The i-th document is a pure function of (persona, seed, i), 40 to 250 words on one line. Quizzes
and pages tell prose_only facts too: prose is the only place where those are told or asked.
"""

import random
from collections.abc import Iterator

from nielsgpt.data.primer import withheld
from nielsgpt.data.primer.grammar import Cast, Told, pick
from nielsgpt.data.primer.persona import Persona
from nielsgpt.data.primer.talk import (
    ARITHMETIC,
    Matter,
    categories,
    converse,
    far,
    pick_told,
    private,
    shorten,
    unknowable,
)

FEWEST_WORDS = 40
ASIDES = 0.25  # share of a quiz's questions that are about no fact


class Library:
    """The material of documents: every fact in its wordings."""

    def __init__(self, persona: Persona) -> None:
        self.matter = Matter(persona)
        self.grammar = self.matter.grammar
        hidden = self.grammar.pool(fact for fact in persona.facts if fact.prose_only)
        # What no dialogue will repeat is told more often here.
        self.told = (*self.grammar.pool(persona.facts), *(3 * hidden))
        self.sums = tuple(told for told in self.told if told.fact.relation in ARITHMETIC)
        by_relation: dict[str, list[Told]] = {}
        for told in self.told:
            by_relation.setdefault(told.fact.relation, []).append(told)
        self.relations = tuple(by_relation.values())
        self.categories = tuple(categories(self.matter).values())

    def lines(self, table: str) -> tuple[str, ...]:
        """The sentences of this part of a story, heavier ones repeated."""
        return self.grammar.lines(self.matter.persona.wordings.stories[table])


def prose(persona: Persona, seed: int) -> Iterator[str]:
    """Endlessly many documents, no two alike in any sample that a run can use."""
    library = Library(persona)
    index = 0
    while True:
        yield _write(library, seed, index)
        index += 1


def document(persona: Persona, seed: int, index: int) -> str:
    """The document that `prose` yields as number `index`."""
    return _write(Library(persona), seed, index)


def _write(library: Library, seed: int, index: int) -> str:
    rng = random.Random(f"{seed}:prose:{index}")
    while True:
        text = _draft(library, rng)
        if not withheld.stands_in(text):
            return text


def _draft(library: Library, rng: random.Random) -> str:
    form = rng.random()
    writer = next(writer for share, writer in _WRITERS if form < share)
    text = " ".join(writer(library, rng, Cast(library.grammar, rng)))
    closing = "ending" if writer is _story else "page_closing"
    while text.count(" ") + 1 < FEWEST_WORDS:
        line = pick(library.lines(closing), rng)
        text += " " + line.format_map(Cast(library.grammar, rng))
    return text


def _story(library: Library, rng: random.Random, cast: Cast) -> list[str]:
    middle = library.lines("middle")
    beats = [pick(library.lines("opening"), rng), pick(library.lines("meeting"), rng)]
    beats += [pick(middle, rng) for _ in range(2 + int(rng.random() * 4))]
    if rng.random() < 0.6:
        beats.append(pick(library.lines("telling"), rng))
        cast["statement"] = _end(pick(pick_told(library.told, rng).statements, rng))
        cast["statement_comma"] = _before_comma(cast["statement"])
    beats.append(pick(library.lines("ending"), rng))
    return [beat.format_map(cast) for beat in dict.fromkeys(beats)]


def _page(library: Library, rng: random.Random, cast: Cast) -> list[str]:
    told = _several(library, rng, 6 + int(rng.random() * 6))
    sentences = [pick(library.lines("page_opening"), rng).format_map(cast)]
    sentences += [_end(pick(fact.statements, rng)) for fact in told]
    if rng.random() < 0.4:
        sentences.append(pick(library.lines("page_closing"), rng).format_map(cast))
    return sentences


def _sum_page(library: Library, rng: random.Random, cast: Cast) -> list[str]:
    """Many sums and differences: few words each, and only repetition teaches them."""
    source = library.sums or library.told
    count = 14 + int(rng.random() * 8)
    told = {fact: None for fact in (pick_told(source, rng) for _ in range(count))}
    opening = pick(library.lines("page_opening"), rng).format_map(cast)
    return [opening, *(_end(pick(fact.statements, rng)) for fact in told)]


def _quiz(library: Library, rng: random.Random, cast: Cast) -> list[str]:
    """Questions and answers, all in one form or each in its own."""
    forms = library.lines("quiz_forms")
    only = pick(forms, rng) if rng.random() < 0.6 else ""
    sentences = [pick(library.lines("quiz_opening"), rng).format_map(cast)]
    for told in _several(library, rng, 4 + int(rng.random() * 4)):
        if rng.random() < ASIDES:
            cast["question"], cast["reply"] = _aside(library, rng)
        else:
            cast["question"] = library.grammar.wrap(pick(told.questions, rng), rng)
            cast["reply"] = pick(told.replies, rng)
        cast["question_comma"] = _before_comma(cast["question"])
        cast["reply_comma"] = _before_comma(cast["reply"])
        sentences.append((only or pick(forms, rng)).format_map(cast))
    return sentences


def _aside(library: Library, rng: random.Random) -> tuple[str, str]:
    """A question that is not about a fact, and the persona's reply."""
    matter, form = library.matter, rng.random()
    if form < 0.20:
        exchange = far(matter, rng)
    elif form < 0.60:
        exchange = converse(matter, rng)
    elif form < 0.66:
        exchange = unknowable(matter, rng, False)
    elif form < 0.75:
        exchange = private(matter, rng, False)
    elif form < 0.88:
        exchange = shorten(matter, rng, False)
    else:
        draws = library.categories
        exchange = draws[int(rng.random() * len(draws))](matter, rng, False)
    return exchange.user, exchange.reply


def _several(library: Library, rng: random.Random, count: int) -> list[Told]:
    """Different facts: of one relation in a third of the cases, else of any."""
    source = library.told
    if rng.random() < 0.3:
        source = tuple(library.relations[int(rng.random() * len(library.relations))])
    drawn = (pick_told(source, rng) for _ in range(count))
    return list({told.fact: told for told in drawn}.values())


def _end(sentence: str) -> str:
    return sentence if sentence[-1] in ".!?" else f"{sentence}."


def _before_comma(sentence: str) -> str:
    """As it stands inside quotation marks before `said the keeper`."""
    return f"{sentence[:-1]}," if sentence.endswith(".") else sentence


# What a document may be, with the running total of its share.
_WRITERS = ((0.15, _story), (0.22, _sum_page), (0.52, _page), (1.0, _quiz))
