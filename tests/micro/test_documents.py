import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nielsgpt.micro import documents, scenarios
from nielsgpt.micro.documents import Alphabet, alphabet_of, split, without_licence
from nielsgpt.micro.errors import MicroError
from nielsgpt.micro.names import invented
from nielsgpt.micro.scenarios import Data, Scenario

LINES = Data(path="x", format="lines")


def chunked(size: int, overlap: int) -> Data:
    return Data(path="x", format="chunked", chunk_size=size, chunk_overlap=overlap)


def test_an_id_is_the_place_in_the_sorted_alphabet_and_bos_comes_last() -> None:
    alphabet = alphabet_of(["emma", "ava"])
    assert alphabet == Alphabet(("a", "e", "m", "v"))
    assert (alphabet.bos, alphabet.vocab_size) == (4, 5)
    assert alphabet.encode("maxe!") == [2, 0, 1]
    assert alphabet.unknown("maxe!!") == "!x"


def test_bos_stands_at_the_beginning_and_unless_refused_at_the_end(
    words: Callable[..., Scenario], root: Path
) -> None:
    scenario = words()
    corpus = documents.load(root, scenario)
    bos = corpus.alphabet.bos
    assert all(ids[0] == ids[-1] == bos and bos not in ids[1:-1] for ids in corpus.sequences)
    tree = {**vars(scenario.data), "trailing_bos": False}
    open_ended = scenarios.parse({"name": "words", "data": tree}, "test")
    for shut, open_end in zip(
        corpus.sequences, documents.load(root, open_ended).sequences, strict=True
    ):
        assert [*open_end, bos] == shut


def test_the_order_of_the_documents_is_a_matter_of_the_seed(
    words: Callable[..., Scenario], root: Path
) -> None:
    first, again, other = (documents.load(root, words(seed=seed)).sequences for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(first) == sorted(other)


def test_lines_are_stripped_and_empty_ones_are_no_documents() -> None:
    assert split("  emma \n\n\t\nava", LINES) == ["emma", "ava"]


def test_windows_overlap_and_a_short_last_one_is_left_out() -> None:
    assert split("abcdef\n  ghij", chunked(4, 2)) == ["abcd", "cdef", "ef g", "ghi", "hij"]
    assert split("abcdefg", chunked(4, 0)) == ["abcd", "efg"]
    assert split("abcdef12345", chunked(6, 0)) == ["abcdef", "12345"]
    assert split("abcdef12", chunked(6, 0)) == ["abcdef"]


@given(st.text("abc", max_size=200), st.integers(2, 20), st.integers(0, 19))
def test_window_number_i_begins_i_steps_into_the_text(text: str, size: int, overlap: int) -> None:
    step = size - min(overlap, size - 1)
    windows = split(text, chunked(size, size - step))
    assert windows == [text[i * step :][:size] for i in range(len(windows))]
    assert all(2 * len(window) >= size for window in windows)
    assert 2 * len(text[len(windows) * step :]) < size


def test_a_books_licence_is_left_out() -> None:
    book = (
        "Header\n*** START OF THE PROJECT GUTENBERG EBOOK ALICE ***\nAlice was\n"
        "tired.\n*** END OF THE PROJECT GUTENBERG EBOOK ALICE ***\nFooter"
    )
    assert without_licence(book).strip() == "Alice was\ntired."
    assert without_licence("Alice was *** tired.") == "Alice was *** tired."


def test_without_its_file_the_names_scenario_trains_on_invented_ones(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scenario = scenarios.load("names")
    with caplog.at_level(logging.INFO, logger="nielsgpt"):
        corpus = documents.load(root, scenario)
    assert len(corpus.sequences) == len(invented())
    [line] = caplog.messages
    assert line == (
        f"{root / 'data/micro/names.txt'} is not there: using generated names; "
        "for real ones: nielsgpt micro download names"
    )


def test_a_missing_book_is_one_line_with_the_command_that_fetches_it(root: Path) -> None:
    with pytest.raises(MicroError) as caught:
        documents.load(root, scenarios.load("alice"))
    assert str(caught.value) == (
        f"{root / 'data/micro/alice.txt'} is not there; "
        "fetch it with: nielsgpt micro download alice, or put your text there"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b" \n\n", "words.txt contains no document; put your text there"),
        (b"caf\xe9", "words.txt is not UTF-8: byte 3 is 0xE9; save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(
    words: Callable[..., Scenario], root: Path, content: bytes, said: str
) -> None:
    scenario = words()
    (root / "words.txt").write_bytes(content)
    with pytest.raises(MicroError) as caught:
        documents.load(root, scenario)
    assert str(caught.value) == f"{root}/{said}"


def test_a_byte_order_mark_is_no_character(words: Callable[..., Scenario], root: Path) -> None:
    scenario = words()
    (root / "words.txt").write_bytes(b"\xef\xbb\xbfab")
    assert documents.load(root, scenario).alphabet.characters == ("a", "b")


def test_invented_names_are_many_different_and_always_the_same() -> None:
    names = invented()
    assert len(names) == len(set(names)) == 4000
    assert all(name.isascii() and name.islower() and 3 <= len(name) <= 9 for name in names)
    assert names == invented()
    assert names != invented(seed=1)
