"""A mixture keeps its shares on both sides, and no document on two."""

import hashlib
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nielsgpt.conversation import Document
from nielsgpt.data.sources.ancient_mix import Walk, WordShareMix, assign_sides
from nielsgpt.errors import DataError

FRACTION = 0.2


def place(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def walk(label: str, count: int, words: int, side: str | None = None) -> Walk:
    """`count` documents of so many words, each its own."""

    def walked() -> Iterator[Document]:
        for number in range(count):
            yield Document(" ".join([f"{label}{number}"] * words), side=side)  # type: ignore[arg-type]

    return walked


RARE, COMMON = walk("r", 30, 50), walk("c", 400, 20)


def mixed(share: float, most: int, rare: Walk = RARE, common: Walk = COMMON) -> list[Document]:
    made = WordShareMix(
        "mix",
        assign_sides(rare, place, FRACTION),
        assign_sides(common, place, FRACTION),
        share,
        most,
    )
    found = list(made.walk())
    assert found == list(made.walk())
    return found


def words(found: list[Document], letter: str = "") -> int:
    return sum(len(d.text.split()) for d in found if d.text.startswith(letter))


@settings(deadline=None, max_examples=15)
@given(st.floats(0.05, 0.8))
def test_both_sides_have_the_share(share: float) -> None:
    found = mixed(share, 0)
    for side in ("train", "val"):
        part = [document for document in found if document.side == side]
        total = words(part)
        assert share * total <= words(part, "r") + 1e-6 <= share * total + 50
    assert words(found, "c") == 8000


def test_a_repeated_document_never_crosses_sides(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "nielsgpt"):
        found = mixed(0.5, 0)
    sides = {document.text: document.side for document in found}
    assert all(sides[document.text] == document.side for document in found)
    assert len(found) > len(sides)
    assert "source mix: ancients repeated for 5 epochs in train" in caplog.text
    assert {side for text, side in sides.items() if text.startswith("r")} == {"train", "val"}


def test_the_mixture_ends_at_the_words_that_are_asked_for() -> None:
    assert 2000 <= words(mixed(0.25, 2000)) <= 2000 + 20 + 2 * 50
    assert words(mixed(1.0, 4000)) == 4000
    assert words(mixed(1.0, 0)) == words(mixed(1.0, 0), "r") == 1500


def test_rare_documents_are_spread_among_the_others() -> None:
    found = "".join(document.text[0] for document in mixed(0.5, 0))
    assert max(map(len, found.split("r"))) <= 6 and "rrr" not in found


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_small_source_still_holds_one_out(count: int) -> None:
    found = list(assign_sides(walk("s", count, 3), place, 1e-9)())
    assert [document.side for document in found].count("val") == 1


def test_a_side_that_a_dataset_gave_is_kept() -> None:
    given = walk("x", 50, 1, "train")
    assert {document.side for document in assign_sides(given, place, FRACTION)()} == {"train"}


def test_a_source_with_nothing_for_a_side_is_an_error() -> None:
    with pytest.raises(DataError, match="source mix: the ancients have no documents for"):
        mixed(0.5, 0, rare=walk("r", 1, 50))
    with pytest.raises(DataError, match="have no documents for train"):
        mixed(0.5, 0, rare=walk("r", 0, 50))
