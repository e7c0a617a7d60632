"""BPE by hand: its words, its merges and its ids are those of Hugging Face tokenizers."""

import doctest
import json
import random
import unicodedata
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nielsgpt.micro import bpe
from nielsgpt.micro.errors import MicroError

ROOT = Path(__file__).resolve().parents[2]
PROSE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
ASSIGNED = st.characters(codec="utf-8", exclude_categories=("Cn", "Cs"))
# Where GPT-2's pattern turns: apostrophes, blanks of several kinds, letters, numbers, signs.
TURNS = "aZé字ǅʰ'\u2019sdmtlrev \t\n\xa0\u2028\u3000\x1c_-!1²½٣Ⅷ\u0301\U0001f600"


def library() -> Any:
    return pytest.importorskip("tokenizers")


def alphabet() -> dict[str, int]:
    """The byte that each sign of the library's byte-level alphabet stands for."""
    signs = sorted(library().pre_tokenizers.ByteLevel.alphabet())
    return dict(zip(signs, bpe.PLACE, strict=True))


def reference(texts: list[str], vocab_size: int) -> Any:
    """The library's own BPE with byte-level words, trained on the texts."""
    tokenizers = library()
    level = tokenizers.pre_tokenizers.ByteLevel
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = level(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=level.alphabet(), show_progress=False
    )
    theirs.train_from_iterator(texts, trainer)
    return theirs


def renumbered(ids: list[int]) -> list[int]:
    """Our ids as the library numbers them: bytes in GPT-2's order, all others the same."""
    return [bpe.PLACE.get(token, token) for token in ids]


def their_merges(theirs: Any) -> list[tuple[bytes, bytes]]:
    byte_of = alphabet()
    return [
        (bytes(byte_of[sign] for sign in left), bytes(byte_of[sign] for sign in right))
        for left, right in json.loads(theirs.to_str())["model"]["merges"]
    ]


def our_merges(ours: bpe.Bpe) -> list[tuple[bytes, bytes]]:
    return [(ours.pieces[left], ours.pieces[right]) for left, right in ours.merges]


def nonsense(seed: int, length: int, letters: str = TURNS) -> str:
    return "".join(random.Random(seed).choices(letters, k=length))


def test_the_worked_examples_in_the_code_are_true() -> None:
    assert doctest.testmod(bpe).attempted > 3
    assert doctest.testmod(bpe).failed == 0


@given(st.text(ASSIGNED) | st.text(TURNS))
def test_words_are_cut_where_the_library_cuts_them(text: str) -> None:
    cuts = library().pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    assert bpe.split(text) == [text[start:end] for _, (start, end) in cuts]


def test_every_character_of_the_basic_plane_is_of_the_librarys_class() -> None:
    level = library().pre_tokenizers.ByteLevel(add_prefix_space=False)
    known = [c for c in map(chr, range(0x10000)) if unicodedata.category(c) not in ("Cn", "Cs")]
    text = "".join(f"a{c}1{c}a {c} {c}{c}!{c}\n" for c in known)
    cuts = level.pre_tokenize_str(text)
    assert len(known) > 50_000
    assert bpe.split(text) == [text[start:end] for _, (start, end) in cuts]


@given(st.text())
def test_words_joined_are_the_text(text: str) -> None:
    assert "".join(bpe.split(text)) == text


@pytest.mark.parametrize("vocab_size", [256, 257, 700])
def test_merges_and_ids_are_the_librarys(vocab_size: int) -> None:
    theirs, ours = reference([PROSE], vocab_size), bpe.train([PROSE], vocab_size, ties="lowest")
    assert our_merges(ours) == their_merges(theirs)
    for text in (PROSE, nonsense(0, 2000), "Quick — naïve 字 test's 12\n\n"):
        assert renumbered(ours.encode(text)) == theirs.encode(text).ids


@pytest.mark.parametrize("seed", range(12))
def test_ties_fall_as_in_the_library(seed: int) -> None:
    text = nonsense(seed, 400, "aab éc")
    theirs, ours = reference([text], 400), bpe.train([text], 400, ties="lowest")
    assert our_merges(ours) == their_merges(theirs)
    assert renumbered(ours.encode(text)) == theirs.encode(text).ids


def test_gpt2_numbers_the_bytes_in_this_order() -> None:
    theirs = reference([], 256)
    assert {theirs.token_to_id(sign): byte for sign, byte in alphabet().items()} == dict(
        enumerate(bpe.PLACE)
    )


def test_each_merge_is_of_a_most_frequent_pair_and_of_the_greatest_of_these() -> None:
    text = nonsense(3, 600, "abcd é")
    trained = bpe.train([text], 330)
    words = [[bytes([byte]) for byte in word.encode()] for word in bpe.split(text)]
    for left, right in our_merges(trained):
        counts = Counter(pair for word in words for pair in pairwise(word))
        assert (left, right) == max(counts, key=lambda pair: (counts[pair], pair))
        for word in words:
            place = 0
            while place < len(word) - 1:
                if (word[place], word[place + 1]) == (left, right):
                    word[place : place + 2] = [left + right]
                place += 1


def test_training_ends_where_no_pair_is_left() -> None:
    assert len(bpe.train(["abc abc"], 1000).pieces) == 256 + 3
    assert bpe.train([], 1000) == bpe.train(["a b c"[:1]], 1000) == bpe.Bpe(())


def test_the_order_of_the_texts_changes_nothing() -> None:
    lines = PROSE.splitlines(keepends=True)
    assert bpe.train(lines, 400) == bpe.train(lines[::-1], 400)


@given(st.text(), st.booleans())
def test_every_text_comes_back(text: str, specials: bool) -> None:
    trained = bpe.train(["the theme of them", text], 270, ["<|end|>"])
    assert trained.decode(trained.encode(text + "<|end|>" + text, specials)) == (
        text + "<|end|>" + text
    )


def test_a_special_token_is_text_unless_asked_for() -> None:
    trained = bpe.train(["<|end|> and <|end|><|endless|>" * 9], 300, ["<|end|>", "<|endless|>"])
    assert trained.encode("<|end|>", specials=True) == [256]
    assert trained.encode("a<|endless|><|end|>", specials=True) == [97, 257, 256]
    assert not {256, 257} & set(trained.encode("<|end|> and <|endless|>"))


def test_where_two_special_tokens_begin_together_the_longer_one_is_meant() -> None:
    trained = bpe.train([], 300, ["<", "<end", "<e"])
    assert trained.encode("<end<e<", specials=True) == [257, 258, 256]


def test_a_special_token_that_is_not_asked_for_cuts_no_word() -> None:
    guarded = bpe.Bpe(((97, 98), (257, 99)), ("b",))
    assert guarded.encode("abc") == [258]
    assert guarded.encode("abc", specials=True) == [97, 256, 99]


def test_the_special_tokens_in_the_text_are_not_learnt_from() -> None:
    assert bpe.train(["<|end|>" * 50], 300, ["<|end|>"]).merges == ()


def test_nothing_is_merged_across_a_special_token() -> None:
    trained = bpe.train(["ab|cd|" * 50], 300, ["|"])
    assert set(trained.pieces[257:]) == {b"ab", b"cd"}


def test_the_file_holds_the_whole_tokenizer(tmp_path: Path) -> None:
    trained = bpe.train([PROSE], 500, ["<|end|>"])
    trained.save(tmp_path / "deep" / "bpe.json")
    assert bpe.load(tmp_path / "deep" / "bpe.json") == trained
    assert any(b" " in piece or b"\n" in piece for piece in trained.pieces[257:])


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"merges": []}',
        '{"specials": [], "merges": [[97]]}',
        '{"specials": [], "merges": [[97, 256]]}',
        '{"specials": [], "merges": [[97, -1]]}',
        '{"specials": [], "merges": [[97, "b"]]}',
        '{"specials": [], "merges": [[97, 98], [97, 98]]}',
        '{"specials": [7], "merges": []}',
    ],
)
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bpe.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(MicroError, match=r"bpe\.json is not a BPE tokenizer .*bpe train TEXT$"):
        bpe.load(path)


@pytest.mark.parametrize(
    ("attempt", "line"),
    [
        (lambda: bpe.train([], 256, ["<|end|>"]), "256 has no room .* ask for 257 or more"),
        (lambda: bpe.train([], 300, ["<|end|>", "<|end|>"]), "contain duplicates"),
        (lambda: bpe.train([], 300, [""]), "contain duplicates"),
        (lambda: bpe.Bpe(()).encode("a\ud800"), r"lone surrogate U\+D800"),
        (lambda: bpe.Bpe(()).decode([97, 256]), "id 256 is not in the vocabulary of 256"),
        (lambda: bpe.Bpe(()).decode([-1]), "id -1 is not in the vocabulary"),
        (lambda: bpe.load(Path("none.json")), r"none\.json is not there; make it with: nielsgpt"),
    ],
)
def test_a_mistake_is_one_clear_line(attempt: Any, line: str) -> None:
    with pytest.raises(MicroError, match=line) as caught:
        attempt()
    assert "\n" not in str(caught.value)


def test_half_a_character_decodes_to_the_replacement_sign() -> None:
    assert bpe.Bpe(()).decode([0xC3]) == "\ufffd"
