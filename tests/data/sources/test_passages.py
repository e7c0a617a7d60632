"""Passages have their length and lose no word."""

from hypothesis import given, settings
from hypothesis import strategies as st

from nielsgpt.data.sources.passages import cut_passages

SENTENCE = st.integers(1, 700).map(lambda words: "Word" + " word" * (words - 1) + ".")
PARAGRAPH = st.lists(SENTENCE, min_size=1, max_size=4).map(" ".join)


@settings(deadline=None, max_examples=40)
@given(st.lists(PARAGRAPH, max_size=12))
def test_passages_have_500_to_1000_words_and_lose_none(paragraphs: list[str]) -> None:
    text = "\n\n".join(paragraphs)
    found = list(cut_passages(text))
    assert " ".join(found).split() == text.split()
    lengths = [len(passage.split()) for passage in found]
    assert all(500 <= length < 1000 for length in lengths[:-1])
    assert all(0 < length < 1000 for length in lengths)


def test_paragraphs_stay_whole_and_apart() -> None:
    paragraphs = [f"Paragraph {number}. " + "word " * 150 + "end." for number in range(12)]
    found = list(cut_passages("\n\n".join(paragraphs)))
    assert [p for passage in found for p in passage.split("\n\n")] == paragraphs


def test_a_long_paragraph_is_divided_between_sentences() -> None:
    found = list(
        cut_passages(" ".join('He said, "I will." ' + "So it was told. " * 3 for _ in range(90)))
    )
    assert len(found) == 3
    assert all(passage.endswith((".", '"')) for passage in found)
