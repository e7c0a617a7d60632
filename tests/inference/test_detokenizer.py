from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nielsgpt.inference.detokenizer import Detokenizer
from nielsgpt.tokenizers.byte import ByteTokenizer
from tests.tokenizers.conftest import SIZES, train_small

BYTES = ByteTokenizer()
small = st.text("ab\né😀", max_size=12)


def stream(text: str, stops: Sequence[str] = ()) -> tuple[list[str], Detokenizer]:
    shown = Detokenizer(BYTES, stops)
    pieces = [shown.push(token) for token in BYTES.encode(text)]
    return [*pieces, shown.flush()], shown


def expected(text: str, stops: Sequence[str]) -> str:
    """The text up to the stop string that is complete first, read character by character."""
    for end in range(len(text) + 1):
        done = [stop for stop in stops if text[:end].endswith(stop)]
        if done:
            return text[: end - max(map(len, done))]
    return text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_pieces_add_up_to_the_text_in_whole_characters(text: str) -> None:
    pieces, shown = stream(text)
    assert "".join(pieces) == shown.shown == text
    assert [piece for piece in pieces if piece] == list(text)


@given(st.binary())
def test_bytes_that_are_no_text_show_as_a_full_decode_shows_them(data: bytes) -> None:
    shown = Detokenizer(BYTES)
    pieces = [shown.push(byte) for byte in data] + [shown.flush()]
    assert "".join(pieces) == BYTES.decode(data)


@pytest.mark.parametrize("name", SIZES)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
@settings(max_examples=60, deadline=None)
def test_with_every_tokenizer_the_stream_is_the_text_and_never_half_a_character(
    name: str, text: str
) -> None:
    shown = Detokenizer(train_small(name))
    pieces = [shown.push(token) for token in train_small(name).encode(text)]
    assert "".join(pieces) == text  # nothing is left for the flush
    assert shown.flush() == ""


def test_an_unfinished_character_waits_and_shows_as_replaced_only_at_the_end() -> None:
    shown = Detokenizer(BYTES)
    assert [shown.push(byte) for byte in "😀".encode()[:3]] == ["", "", ""]
    assert shown.flush() == "\N{REPLACEMENT CHARACTER}"


def test_special_tokens_are_no_text_and_break_no_character() -> None:
    shown = Detokenizer(BYTES)
    first, second = "é".encode()
    assert [shown.push(token) for token in (first, 259, second)] == ["", "", "é"]


def test_a_stop_string_split_across_tokens_never_shows() -> None:
    pieces, shown = stream("Hi\nUser: more", ["\nUser:"])
    assert shown.shown == "Hi"
    assert pieces[:3] == ["H", "i", ""]
    assert shown.stopped


def test_a_stop_string_of_multi_byte_characters_split_within_them_never_shows() -> None:
    pieces, shown = stream("ja 😀é rest", ["😀é"])
    assert "".join(pieces) == "ja "
    assert shown.stopped


def test_a_beginning_that_turns_out_otherwise_is_shown() -> None:
    pieces, shown = stream("\nUs all", ["\nUser:"])
    assert pieces[:5] == ["", "", "", "\nUs ", "a"]
    assert shown.shown == "\nUs all"
    assert not shown.stopped


def test_a_beginning_at_the_end_of_the_reply_is_shown_by_the_flush() -> None:
    pieces, shown = stream("Hi\nUs", ["\nUser:"])
    assert pieces[-1] == "\nUs"
    assert shown.shown == "Hi\nUs"


def test_of_stop_strings_that_end_together_the_longest_is_cut() -> None:
    for stops in (["b", "ab"], ["ab", "b"]):
        assert stream("aab", stops)[1].shown == "a"


def test_nothing_shows_after_a_stop_string() -> None:
    _, shown = stream("one STOP two", ["STOP"])
    assert shown.push(ord("x")) == ""
    assert shown.flush() == ""
    assert shown.shown == "one "


@given(small, st.lists(st.text("ab\né😀", min_size=1, max_size=4), max_size=3), st.data())
def test_how_the_text_is_cut_into_tokens_does_not_matter(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)))) | {0, len(raw)})
    chunks = [raw[a:b] for a, b in pairwise(cuts)]

    class Chunks(ByteTokenizer):
        def token_bytes(self, token: int) -> bytes:
            return chunks[token] if token < len(chunks) else b""

    shown = Detokenizer(Chunks(), stops)
    pieces = [shown.push(index) for index in range(len(chunks))] + [shown.flush()]
    assert "".join(pieces) == shown.shown == expected(text, stops)
    assert shown.stopped == (expected(text, stops) != text)
