"""Documents for pretraining: short stories, almanac pages and quizzes that tell the facts.

The i-th document is a pure function of (facts, seed, i), 40 to 250 words on one line. Quizzes
and pages tell prose_only facts too: prose is the only place where those are told or asked.
"""

import functools
import random
from collections.abc import Iterable, Iterator, Sequence

from nielsgpt.data.primer import plots
from nielsgpt.data.primer.facts import Fact
from nielsgpt.data.primer.grammar import Told, pick, pool, weighted, wrap
from nielsgpt.data.primer.talk import (
    CATEGORIES,
    DEEDS,
    PEOPLE,
    PLACES,
    THINGS,
    Matter,
    private,
    shorten,
    unknowable,
)

FEWEST_WORDS = 40
ARITHMETIC = ("sum", "difference")


class Library:
    """What documents are written from: every fact in its wordings."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        facts = tuple(facts)
        hidden = pool(fact for fact in facts if fact.prose_only)
        # What no dialogue will repeat is told more often here.
        self.told = (*pool(facts), *hidden, *hidden)
        self.sums = tuple(told for told in self.told if told.fact.relation in ARITHMETIC)
        self.matter = Matter(facts)
        by_relation: dict[str, list[Told]] = {}
        for told in self.told:
            by_relation.setdefault(told.fact.relation, []).append(told)
        self.relations = tuple(by_relation.values())


def prose(facts: Iterable[Fact], seed: int) -> Iterator[str]:
    """Endlessly many documents, no two alike in any sample that a run can use."""
    library = Library(facts)
    index = 0
    while True:
        yield _write(library, seed, index)
        index += 1


def document(facts: Iterable[Fact], seed: int, index: int) -> str:
    """The document that `prose` yields as number `index`."""
    return _write(Library(facts), seed, index)


def _write(library: Library, seed: int, index: int) -> str:
    rng = random.Random(f"{seed}:prose:{index}")
    form = rng.random()
    writer = next(writer for share, writer in _WRITERS if form < share)
    cast = _cast(rng)
    sentences = writer(library, rng, cast)
    text = " ".join(sentences)
    while text.count(" ") + 1 < FEWEST_WORDS:
        text += " " + pick(
            _lines("ENDING" if writer is _story else "PAGE_CLOSING"), rng
        ).format_map(_cast(rng))
    return text


def _story(library: Library, rng: random.Random, cast: dict[str, str]) -> list[str]:
    middle = _lines("MIDDLE")
    beats = [pick(_lines("OPENING"), rng), pick(_lines("MEETING"), rng)]
    beats += [pick(middle, rng) for _ in range(2 + int(rng.random() * 4))]
    if rng.random() < 0.6:
        beats.append(pick(_lines("TELLING"), rng))
        cast["x"] = _ended(pick(_any(library.told, rng).statements, rng))
        cast["xc"] = _before_comma(cast["x"])
    beats.append(pick(_lines("ENDING"), rng))
    return [beat.format_map(cast) for beat in dict.fromkeys(beats)]


def _page(library: Library, rng: random.Random, cast: dict[str, str]) -> list[str]:
    told = _several(library, rng, 6 + int(rng.random() * 6))
    sentences = [pick(_lines("PAGE_OPENING"), rng).format_map(cast)]
    sentences += [_ended(pick(fact.statements, rng)) for fact in told]
    if rng.random() < 0.4:
        sentences.append(pick(_lines("PAGE_CLOSING"), rng).format_map(cast))
    return sentences


def _sum_page(library: Library, rng: random.Random, cast: dict[str, str]) -> list[str]:
    """Many sums and differences: few words each, and only repetition teaches them."""
    source = library.sums or library.told
    told = {fact: None for fact in (_any(source, rng) for _ in range(14 + int(rng.random() * 8)))}
    opening = pick(_lines("PAGE_OPENING"), rng).format_map(cast)
    return [opening, *(_ended(pick(fact.statements, rng)) for fact in told)]


def _quiz(library: Library, rng: random.Random, cast: dict[str, str]) -> list[str]:
    """Questions and answers, all in one form or each in its own."""
    forms = _lines("QUIZ_FORMS")
    only = pick(forms, rng) if rng.random() < 0.6 else ""
    sentences = [pick(_lines("QUIZ_OPENING"), rng).format_map(cast)]
    for told in _several(library, rng, 4 + int(rng.random() * 4)):
        if rng.random() < 0.12:
            cast["q"], cast["r"] = _aside(library.matter, rng)
        else:
            cast["q"] = wrap(pick(told.questions, rng), rng)
            cast["r"] = pick(told.replies, rng)
        cast["qc"], cast["rc"] = _before_comma(cast["q"]), _before_comma(cast["r"])
        sentences.append((only or pick(forms, rng)).format_map(cast))
    return sentences


def _aside(matter: Matter, rng: random.Random) -> tuple[str, str]:
    """A question that is not about a fact, and what the keeper says to it."""
    form = rng.random()
    if form < 0.35:
        exchange = unknowable(rng, False)
    elif form < 0.65:
        exchange = private(rng, False)
    elif form < 0.8:
        exchange = shorten(matter, rng, False)
    else:
        draws = tuple(CATEGORIES.values())
        exchange = draws[int(rng.random() * len(draws))](matter, rng, False)
    return exchange.user, exchange.reply


def _several(library: Library, rng: random.Random, count: int) -> list[Told]:
    """Different facts: of one relation in a third of the cases, else of any."""
    source = library.told
    if rng.random() < 0.3:
        source = tuple(library.relations[int(rng.random() * len(library.relations))])
    drawn = (_any(source, rng) for _ in range(count))
    return list({told.fact: told for told in drawn}.values())


def _any(told: tuple[Told, ...], rng: random.Random) -> Told:
    return told[int(rng.random() * len(told))]


def _ended(sentence: str) -> str:
    return sentence if sentence[-1] in ".!?" else f"{sentence}."


def _before_comma(sentence: str) -> str:
    """As it stands inside quotation marks before `said the keeper`."""
    return f"{sentence[:-1]}," if sentence.endswith(".") else sentence


def _two(options: Sequence[str], rng: random.Random) -> tuple[str, str]:
    """Two different ones."""
    first = int(rng.random() * len(options))
    step = 1 + int(rng.random() * (len(options) - 1))
    return options[first], options[(first + step) % len(options)]


def _cast(rng: random.Random) -> dict[str, str]:
    """Who, what and where: a value for every slot of `plots`."""
    a, b = _two(PEOPLE, rng)
    t, u = _two(THINGS, rng)
    p, q = _two(PLACES, rng)
    time = pick(plots.TIMES, rng)
    weather = pick(plots.WEATHER, rng)
    return {
        "a": a,
        "b": b,
        "t": t,
        "u": u,
        "p": p,
        "q": q,
        "w": weather,
        "w2": weather.removeprefix("a "),
        "f": pick(plots.FEELINGS, rng),
        "g": pick(plots.FEELINGS, rng),
        "d": pick(DEEDS, rng),
        "v": pick(plots.VERBS, rng),
        "n": pick(plots.NUMBERS, rng),
        "h": time,
        "h2": time[0].lower() + time[1:],
    }


@functools.cache
def _lines(table: str) -> tuple[str, ...]:
    text: str = getattr(plots, table)
    return weighted(line.strip() for line in text.strip().splitlines())


# What a document may be, with the running total of its share.
_WRITERS = ((0.18, _story), (0.26, _sum_page), (0.58, _page), (1.0, _quiz))
