"""Texts that are nearly one another, and the group by which they stay together."""

import random

import pytest

from nielsgpt.conversation import Conversation, Document, Message
from nielsgpt.data.sources import duplicates
from nielsgpt.data.sources.duplicates import APART, NEAR, REPEATS, find_duplicates

WORDS = [f"{a}{b}" for a in ("lam", "har", "win", "sto", "rop", "tid") for b in ("p", "bour", "d")]


def prose(seed: int, words: int = 300) -> list[str]:
    drawn = random.Random(seed)
    return [drawn.choice(WORDS) + drawn.choice(WORDS) for _ in range(words)]


def edited(words: list[str], every: int) -> str:
    return " ".join("another" if n % every == 7 else word for n, word in enumerate(words))


def others(count: int = 9) -> list[Document]:
    return [Document(" ".join(prose(seed))) for seed in range(100, 100 + count)]


def talk(*turns: str) -> Conversation:
    return Conversation(
        tuple(Message(("user", "assistant")[n % 2], text) for n, text in enumerate(turns))  # type: ignore[arg-type]
    )


def test_texts_that_have_nothing_in_common_have_no_group() -> None:
    found = find_duplicates(others())
    assert not found.groups
    assert not found.counts


@pytest.mark.parametrize("every", [20, 60])
def test_a_draft_in_which_some_words_differ_is_of_the_same_group(every: int) -> None:
    one, draft = Document(" ".join(prose(1))), Document(edited(prose(1), every))
    found = find_duplicates([*others(), one, draft])
    assert found.group(one) == found.group(draft) is not None
    assert found.counts == {NEAR: 2}
    assert found.group(others()[0]) is None


def test_case_and_white_space_make_no_other_text() -> None:
    words = prose(1)
    one, other = Document(" ".join(words)), Document("\n\n".join(words).upper())
    assert find_duplicates([*others(), one, other]).group(one) is not None


def test_a_group_is_the_same_in_any_order() -> None:
    drafts = [Document(edited(prose(1), every)) for every in (20, 30, 40)]
    found = [find_duplicates([*some, *others()]).groups for some in (drafts, drafts[::-1])]
    assert found[0] == found[1]
    assert len(found[0]) == 3


def test_exact_repeats_are_counted_and_keep_the_side_of_their_text() -> None:
    found = find_duplicates([*others(), *others(3)])
    assert found.counts == {REPEATS: 3}
    assert not found.groups


def test_a_conversation_that_grows_is_one_group() -> None:
    grown = [talk(*(text for text in prose(1, turns))) for turns in (2, 4, 8)]
    strangers = [talk(*prose(seed, 2)) for seed in range(50, 60)]
    for some in (grown, grown[::-1]):
        found = find_duplicates([*strangers, *some])
        assert len({found.group(one) for one in grown}) == 1
        assert found.counts == {NEAR: 3}


def test_a_system_prompt_in_common_makes_no_near_duplicates() -> None:
    system = Message("system", " ".join(prose(1)))
    talks = [Conversation((system, *talk(*prose(seed, 2)).messages)) for seed in range(20)]
    assert not find_duplicates(talks).groups


def test_a_text_that_is_all_alike_is_split_and_said() -> None:
    drafts = [Document(edited(prose(1), every)) for every in range(20, 40)]
    found = find_duplicates([*drafts, *others(3)])
    assert not found.groups
    assert found.counts[APART] == 20


def test_a_text_longer_than_a_piece_is_like_its_copy() -> None:
    words = prose(1, 5_000)
    one, other = Document(" ".join(words)), Document(edited(words, 50))
    assert len(one.text) > duplicates.CHUNK_BYTES
    assert (
        duplicates.estimate_similarity(*(duplicates.sketch_text(d.text) for d in (one, other)))
        > 0.5
    )


def test_an_earlier_draft_cut_at_other_places_stays_with_its_text() -> None:
    words = prose(1, 6000)
    draft = words[:700] + prose(2, 40) + words[900:]
    pieces = [
        [Document(" ".join(text[start : start + 300])) for start in range(0, len(text), 300)]
        for text in (words, draft)
    ]
    unrelated = [Document(" ".join(prose(seed))) for seed in range(100, 160)]
    found = find_duplicates([*pieces[0], *pieces[1], *unrelated])
    groups = {found.group(piece) for both in pieces for piece in both}
    assert len(groups) <= 3
    alone = sum(found.group(piece) is None for both in pieces for piece in both)
    assert alone <= 0.1 * sum(map(len, pieces)), "those of the part that was taken out"


def test_what_is_kept_of_a_text_is_its_sketch_alone() -> None:
    sketch = duplicates.sketch_text(" ".join(prose(1, 3000)))
    assert sketch.base is None
    assert len(sketch) == duplicates.SKETCH
