"""One exchange with the persona, by category: what is asked, the reply, and what would be right.

Every category draws its requests from weighted templates and its matter from the facts or from
the wordings; the same draw with `held_out` gives an exam question that no training text holds.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from nielsgpt.data.primer.facts import Fact
from nielsgpt.data.primer.grammar import Cast, Grammar, Told, capitalize, pick
from nielsgpt.data.primer.persona import Persona, Talk
from nielsgpt.errors import DataError

ARITHMETIC = ("sum", "difference")
# Facts about the persona and its surroundings, which no foreign subject can stand in for.
OWN = ("self", "place", "command", "thinker", "question")


@dataclass(frozen=True)
class Exchange:
    """A request and its reply; `key` is the part of the reply that makes it right."""

    user: str
    reply: str
    key: str
    fact: Fact | None = None


class Matter:
    """The material of dialogues: the facts that they may tell, sorted for the categories.

    Raises DataError when no dialogue may tell any fact.
    """

    def __init__(self, persona: Persona) -> None:
        known = [fact for fact in persona.facts if not fact.prose_only]
        if not known:
            raise DataError(f"{persona.files[0]}: no fact for a dialogue; add one under facts")
        self.persona = persona
        self.grammar = Grammar(persona)
        self.facts = self.grammar.pool(known)
        self.own = self._of(known, "self")
        self.way = self._of(known, "place", "command")
        self.thinker = self._of(known, "thinker")
        plain = [f for f in known if f.relation not in (*ARITHMETIC, *OWN)]
        self.plain = self.grammar.pool(plain)
        self.by_relation: dict[str, list[Told]] = {}
        for told in self.plain:
            self.by_relation.setdefault(told.fact.relation, []).append(told)
        self.siblings = [tolds for tolds in self.by_relation.values() if len(tolds) > 4]
        self.asked = {
            question.lower()
            for fact in persona.facts
            for told in (self.grammar.tell(fact),)
            for question in (*told.questions, *told.held_out)
        }
        self.intents = [
            name for name, talk in persona.wordings.talk.items() for _ in range(talk.weight)
        ]

    def _of(self, facts: Iterable[Fact], *relations: str) -> tuple[Told, ...]:
        return tuple(self.grammar.tell(fact) for fact in facts if fact.relation in relations)


Draw = Callable[[Matter, random.Random, bool], Exchange]


def about_fact(matter: Matter, told: Told, rng: random.Random, held_out: bool) -> Exchange:
    """A question about this fact and its answer."""
    if held_out:
        question = matter.grammar.wrap_held_out(pick(told.held_out, rng), rng)
    else:
        question = matter.grammar.wrap(pick(told.questions, rng), rng)
    return Exchange(question, pick(told.replies, rng), told.fact.answer, told.fact)


def about_manner(matter: Matter, name: str, rng: random.Random, held_out: bool) -> Exchange:
    """A request of this manner and its reply; the key is the topic."""
    grammar, manner = matter.grammar, matter.persona.wordings.manners[name]
    topic = pick(manner.topics, rng)
    requests = grammar.lines(manner.held_out if held_out else manner.requests)
    core = pick(requests, rng).replace("{t}", topic).replace("{name}", matter.persona.name)
    request = grammar.wrap_held_out(core, rng) if held_out else grammar.wrap(core, rng)
    replies = grammar.lines(manner.replies or _REPLIES[name](matter.persona))
    return Exchange(request, capitalize(pick(replies, rng).replace("{t}", topic)), topic)


def shorten(matter: Matter, rng: random.Random, held_out: bool) -> Exchange:
    """A long sentence to shorten; the reply is its kernel."""
    wordings, grammar = matter.persona.wordings, matter.grammar
    cast = Cast(grammar, rng)
    kernel = cast["kernel"] = wordings.kernel.format_map(cast)
    manner = wordings.manners["shorten"]
    core = pick(grammar.lines(manner.held_out if held_out else manner.requests), rng)
    core = core.replace("{t}", wordings.long.format_map(cast))
    return Exchange(capitalize(core), f"{kernel}.", kernel)


def converse(matter: Matter, rng: random.Random, intent: str = "") -> Exchange:
    """An exchange of a first conversation, of any intent or the one named."""
    name = intent or pick(matter.intents, rng)
    talk, own = matter.persona.wordings.talk[name], matter.persona.replies.get(name)
    exchange = said(matter, talk, rng, own)
    return replace(exchange, user=matter.grammar.frame(exchange.user, rng))


def said(
    matter: Matter, talk: Talk, rng: random.Random, own: Sequence[str] | None = None, **given: str
) -> Exchange:
    """An exchange of this talk, in the persona's own replies or those of its manner."""
    cast = Cast(matter.grammar, rng, **given)
    user = pick(talk.user, rng).format_map(cast)
    cast["Letters"] = "-".join(cast.get("spelled", "").upper())
    replies = own or getattr(talk, matter.persona.manner) or talk.terse
    reply = capitalize(pick(replies, rng).format_map(cast))
    return Exchange(user, reply, reply)


def fact_among(
    matter: Matter, tolds: Sequence[Told], rng: random.Random, held_out: bool
) -> Exchange:
    """A question about one of these facts."""
    return about_fact(matter, tolds[int(rng.random() * len(tolds))], rng, held_out)


def private(matter: Matter, rng: random.Random, held_out: bool) -> Exchange:
    """A question that the persona refuses."""
    return _either(matter, "private", rng, held_out)


def unknowable(matter: Matter, rng: random.Random, held_out: bool) -> Exchange:
    """A question that nobody can answer."""
    return _either(matter, "unknowable", rng, held_out)


def self_unknown(matter: Matter, rng: random.Random, held_out: bool) -> Exchange:
    """A question about itself that the persona cannot answer."""
    return _either(matter, "self_unknown", rng, held_out)


def far(matter: Matter, rng: random.Random) -> Exchange:
    """A question on none of the facts: of a known form or of any other, about any subject."""
    grammar = matter.grammar
    while True:
        core = _foreign(matter, rng) if rng.random() < 0.25 else _remote(matter, rng)
        if core.lower() not in matter.asked:
            break
    user = grammar.wrap(core, rng) if rng.random() < 0.6 else core
    reply = capitalize(grammar.invent("dont_know", rng))
    return Exchange(user, reply, reply)


def premise(matter: Matter, rng: random.Random) -> Exchange:
    """A claim about a fact, true or false, confirmed or corrected."""
    told = pick_told(matter.siblings[int(rng.random() * len(matter.siblings))], rng)
    grammar, fact, lines = matter.grammar, told.fact, matter.persona.wordings.premise
    others = [o for o in matter.by_relation[fact.relation] if o.fact.answer != fact.answer]
    is_right = not others or rng.random() < 0.4
    claimed = fact if is_right else replace(fact, answer=pick_told(others, rng).fact.answer)
    statements = grammar.lines(grammar.relation(fact.relation).statements)
    template = pick([line for line in statements if "?" not in line and ":" not in line], rng)
    claim = template.format_map(grammar.slots_of(claimed)).rstrip(".")
    if not template.startswith(("{s}", "{o}")):
        claim = claim[:1].lower() + claim[1:]
    user = capitalize(pick(lines.user, rng).replace("{claim}", claim))
    reply = pick(lines.right if is_right else lines.wrong, rng)
    reply = reply.replace("{reply}", pick(told.replies, rng))
    return Exchange(user, reply, fact.answer, fact)


def follow_up(matter: Matter, rng: random.Random) -> list[Exchange]:
    """A question, and the same of another subject in two words."""
    tolds = matter.siblings[int(rng.random() * len(matter.siblings))]
    first, second = pick_told(tolds, rng), pick_told(tolds, rng)
    user = pick(matter.persona.wordings.follow_up, rng).format_map(
        matter.grammar.slots_of(second.fact)
    )
    answer = pick(second.replies, rng)
    exchange = Exchange(user, answer, second.fact.answer, second.fact)
    return [about_fact(matter, first, rng, False), exchange]


def ask_twice(matter: Matter, rng: random.Random) -> list[Exchange]:
    """The same question twice, or a question and what it was."""
    first = fact_among(matter, matter.plain or matter.facts, rng, False)
    if rng.random() < 0.5 or first.fact is None:
        return [first, first]
    recall = matter.persona.wordings.recall
    return [first, said(matter, recall, rng, s=first.fact.subject)]


def paste(matter: Matter, rng: random.Random) -> Exchange:
    """A long text without a question."""
    cast = Cast(matter.grammar, rng)
    middle = matter.grammar.lines(matter.persona.wordings.stories["middle"])
    text = " ".join(pick(middle, rng).format_map(cast) for _ in range(3 + int(rng.random() * 4)))
    return said(matter, matter.persona.wordings.paste, rng, text=text)


def pick_told(tolds: Sequence[Told], rng: random.Random) -> Told:
    """One of the told facts."""
    return tolds[int(rng.random() * len(tolds))]


def categories(matter: Matter) -> dict[str, Draw]:
    """The categories that this persona has something to say to."""
    found: dict[str, Draw] = {
        "about_self_unknown": self_unknown,
        "about_self_private_refuse": private,
        "summarize_rewrite": shorten,
        "ask_clarifying_question": lambda m, rng, held: about_manner(m, "clarify", rng, held),
    }
    if matter.own:
        found["about_self_public"] = lambda m, rng, held: fact_among(m, m.own, rng, held)
    if matter.way:
        found["site_navigation"] = lambda m, rng, held: fact_among(m, m.way, rng, held)
    if matter.thinker:
        found["explain_thinker_one_line"] = lambda m, rng, held: fact_among(m, m.thinker, rng, held)
    return found


def _either(matter: Matter, manner: str, rng: random.Random, held_out: bool) -> Exchange:
    name = manner if rng.random() < 0.65 else f"{manner}_straight"
    return about_manner(matter, name, rng, held_out)


_REPLIES: dict[str, Callable[[Persona], tuple[str, ...]]] = {
    **{
        name: lambda persona: persona.wordings.dont_know
        for base in ("unknowable", "self_unknown")
        for name in (base, f"{base}_straight")
    },
    **{name: lambda persona: persona.wordings.refuse for name in ("private", "private_straight")},
}


def _foreign(matter: Matter, rng: random.Random) -> str:
    """A question of a relation that the persona knows, about a subject that it does not."""
    grammar = matter.grammar
    relations = list(matter.by_relation) or [""]
    relation = pick(relations, rng)
    cast = Cast(grammar, rng)
    kinds = list(grammar.wordings.lexicons) + ["invented"] * len(grammar.wordings.lexicons)
    subject = cast[pick(kinds, rng)]
    wanted = Fact(relation, subject.lower() if rng.random() < 0.2 else subject, subject)
    question = pick(grammar.lines(grammar.relation(relation).questions), rng)
    return question.format_map(grammar.slots_of(wanted))


def _remote(matter: Matter, rng: random.Random) -> str:
    """A question of any other form; {s} is a subject that the persona knows something else of."""
    subjects = matter.plain or matter.facts
    cast = Cast(matter.grammar, rng, s=pick_told(subjects, rng).fact.subject)
    lines = matter.grammar.lines(matter.persona.wordings.far)
    return pick(lines, rng).format_map(cast)
