"""The exam: fair, new to whoever read the training text, and not to be gamed."""

import collections
import itertools
import string
from collections.abc import Iterable
from dataclasses import replace

import pytest

from nielsgpt.conversation import Conversation
from nielsgpt.data.primer import handwritten, withheld
from nielsgpt.data.primer.dialogues import dialogues
from nielsgpt.data.primer.exam_items import Item, correct, grade, items, wilson
from nielsgpt.data.primer.persona import load_persona
from nielsgpt.data.primer.stories import prose
from nielsgpt.errors import DataError

PERSONA = load_persona("personas/niels.json")
FACTS = PERSONA.facts
EXAM = items(PERSONA, 0, 100)
SECTIONS = (
    "known facts",
    "prose-only facts",
    "refusals",
    "unknowables",
    "arithmetic",
    "dialogues",
)
EMPTY = Conversation(())


def asked(item: Item) -> str:
    return item.conversation.messages[-1].content


BARE = {ord(sign): " " for sign in string.punctuation if sign not in "+=-"} | {ord("'"): ""}


def plain(text: str) -> str:
    """The text in bare lower-case words between single spaces."""
    return f" {' '.join(text.lower().translate(BARE).split())} "


def fact_item(*answers: str, rivals: tuple[str, ...] = (), echo: str = "") -> Item:
    return Item("s", EMPTY, answers, 0.5, rivals, echo)


def test_every_section_has_as_many_different_questions_as_asked_for() -> None:
    counts = collections.Counter(item.section for item in EXAM)
    assert counts == dict.fromkeys(SECTIONS, 100)
    assert len({asked(item) for item in EXAM}) == len(EXAM)
    assert all(item.conversation.messages[-1].role == "user" for item in EXAM)


def test_the_same_seed_asks_the_same_and_another_does_not() -> None:
    assert items(PERSONA, 0, 100) == EXAM
    assert items(PERSONA, 1, 100) != EXAM


@pytest.fixture(scope="module")
def texts() -> list[list[str]]:
    """Training texts of several seeds as bare words, a dialogue as one text."""
    found: list[list[str]] = []
    for seed, count in ((0, 30_000), (11, 4_000), (42, 4_000)):
        found += (plain(text).split() for text in itertools.islice(prose(PERSONA, seed), count))
        for conversation in itertools.islice(dialogues(PERSONA, seed), count):
            found.append(plain(" ".join(m.content for m in conversation.messages)).split())
    return found


def standing_in(questions: Iterable[str], texts: list[list[str]]) -> list[str]:
    """The questions that stand in a text; only texts with a question's first words are searched."""
    by_start: dict[tuple[str, ...], list[str]] = {}
    for question in questions:
        by_start.setdefault(tuple(plain(question).split()[:4]), []).append(question)
    assert all(len(start) == 4 for start in by_start)
    found: set[str] = set()
    for text in texts:
        for start in by_start.keys() & zip(text, text[1:], text[2:], text[3:], strict=False):
            found |= {q for q in by_start[start] if plain(q) in f" {' '.join(text)} "}
    return sorted(found)


def test_no_exam_question_stands_in_any_training_text(texts: list[list[str]]) -> None:
    questions = [asked(item) for item in (*EXAM, *items(PERSONA, 9, 150), *items(PERSONA, 42, 150))]
    assert standing_in(questions, texts) == []


def test_the_search_would_find_a_training_question(texts: list[list[str]]) -> None:
    asked_in_training = ["What is the capital of Peru?", "what is your phone number"]
    assert standing_in(asked_in_training, texts) == asked_in_training


def test_every_word_of_the_exam_stands_somewhere_in_training(texts: list[list[str]]) -> None:
    words = set(itertools.chain.from_iterable(texts))
    for item in itertools.chain(EXAM, items(PERSONA, 1, 400)):
        assert not set(plain(asked(item)).split()) - words, asked(item)


def test_the_accepted_answer_is_right_in_a_sentence_and_wrong_in_a_speech() -> None:
    for item in EXAM:
        for answer in item.answers:
            assert correct(item, answer), (asked(item), answer)
            assert correct(item, f"{answer.upper()}."), (asked(item), answer)
            assert not correct(item, answer + " and so it goes" * 10)


def test_empty_and_foreign_replies_are_wrong() -> None:
    for reply in ("", " ", ".", "The sea is calm.", "lamp " * 5):
        assert not any(correct(item, reply) for item in EXAM)


def test_a_rival_answer_is_wrong_alone_and_beside_the_right_one() -> None:
    for item in EXAM:
        for rival in item.rivals:
            assert not correct(item, f"{rival}."), (asked(item), rival)
            if plain(rival) not in plain(item.echo) and plain(rival) not in plain(item.answers[0]):
                assert not correct(item, f"{item.answers[0]} or {rival}"), (asked(item), rival)


def test_a_reply_that_lists_every_answer_is_wrong() -> None:
    listing = grade(EXAM, [", ".join((*item.answers, *item.rivals)) for item in EXAM])
    assert all(score.right == 0 for score in listing)
    both = grade(EXAM, ["I don't know. That is private."] * len(EXAM))
    assert all(score.right == 0 for score in both)


def test_no_constant_reply_beats_the_chance_level_of_a_fact_section() -> None:
    replies = {answer for item in EXAM for answer in item.answers}
    for section in ("known facts", "prose-only facts", "arithmetic"):
        asked_here = [item for item in EXAM if item.section == section]
        best = max(sum(correct(item, reply) for item in asked_here) for reply in replies)
        # The chance level knows the relation; a constant reply does not even know that.
        assert best / len(asked_here) <= sum(i.chance for i in asked_here) / len(asked_here)


def test_chance_is_the_share_of_the_most_common_answer_of_the_relation() -> None:
    by_relation = collections.defaultdict(list)
    for fact in FACTS:
        by_relation[fact.relation].append(fact)
    item = next(item for item in EXAM if "legs" in asked(item))
    counts = collections.Counter(fact.answer for fact in by_relation["legs"])
    assert item.chance == max(counts.values()) / len(by_relation["legs"])
    assert all(0 <= item.chance < 0.7 for item in EXAM)


@pytest.mark.parametrize(
    ("answer", "echo", "reply", "right"),
    [
        ("7", "3 plus 4", "7.", True),
        ("7", "3 plus 4", "3 plus 4 is 7.", True),
        ("7", "3 plus 4", "3 and 4 make 7.", True),
        ("7", "3 plus 4", "3 plus 4 is 8.", False),
        ("7", "3 plus 4", "3 plus 4 is 7 or 8.", False),
        ("7", "3 plus 4", "17.", False),
        ("3", "6 minus 3", "3.", True),
        ("3", "6 minus 3", "6 minus 3 is 3.", True),
        ("3", "6 minus 3", "6 minus 3 is 6.", False),
        ("3", "6 minus 3", "6 minus 3 is", False),
        ("10", "5 plus 5", "5 plus 5 is 10.", True),
        ("10", "5 plus 5", "5 plus 5 is 5.", False),
    ],
)
def test_a_restated_sum_is_not_an_answer(answer: str, echo: str, reply: str, right: bool) -> None:
    rivals = tuple(str(number) for number in range(21) if str(number) != answer)
    assert correct(fact_item(answer, rivals=rivals, echo=echo), reply) == right


def test_the_subject_may_be_repeated_although_it_is_a_rival() -> None:
    item = fact_item("cold", rivals=("hot", "wet"), echo="hot")
    assert correct(item, "The opposite of hot is cold.")
    assert not correct(item, "The opposite of hot is hot.")
    assert not correct(item, "Cold or wet.")
    assert not correct(item, "Colder.")


def test_a_shortened_sentence_must_be_short() -> None:
    item = next(i for i in EXAM if i.section == "dialogues" and " near the " in asked(i))
    assert correct(item, f"{item.answers[0]}.")
    assert not correct(item, asked(item).partition(": ")[2])


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_is_wilsons(right: int, total: int, low: float, high: float) -> None:
    assert wilson(right, total) == pytest.approx((low, high), abs=5e-5)


def test_scores_count_by_section_in_order() -> None:
    one, two = fact_item("red"), replace(fact_item("blue"), section="t", chance=0.1)
    scores = grade([one, two, one], ["Red.", "Green.", "Blue."])
    assert [(s.section, s.right, s.total, s.chance) for s in scores] == [
        ("s", 1, 2, 0.5),
        ("t", 0, 1, 0.1),
    ]
    assert (scores[0].low, scores[0].high) == wilson(1, 2)


def test_a_missing_reply_is_an_error() -> None:
    with pytest.raises(DataError, match="600 questions and 1 replies"):
        grade(EXAM, ["Lima."])


def test_no_handwritten_question_stands_in_any_training_text(texts: list[list[str]]) -> None:
    asked_by_hand = [
        asked(item)
        for final in (False, True)
        for item in handwritten.items(PERSONA, final)
        if len(plain(asked(item)).split()) >= withheld.FEWEST_WORDS
    ]
    assert len(asked_by_hand) > 80
    assert standing_in(asked_by_hand, texts) == []
