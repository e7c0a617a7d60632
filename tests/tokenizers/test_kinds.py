"""What each kind of tokenizer learns from a corpus, by small examples."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import tokenizers as library

from nielsgpt.config.settings import TokenizerSettings
from nielsgpt.errors import DataError, TokenizerError
from nielsgpt.tokenizers import bpe, char, registry, sentence_piece, word
from nielsgpt.tokenizers.base import Tokenizer
from tests.tokenizers.conftest import CORPUS, SIZES, TRAINED, settings_for, train_small


def pieces_of(tokenizer: Tokenizer, text: str) -> list[bytes]:
    return [tokenizer.token_bytes(token) for token in tokenizer.encode(text)]


@pytest.mark.parametrize("name", SIZES)
def test_the_vocabulary_has_the_requested_size_or_for_characters_at_most_that(name: str) -> None:
    size = train_small(name).vocab_size
    assert size < 300 if name == "char" else size == SIZES[name][1]


@pytest.mark.parametrize("name", TRAINED)
def test_training_twice_gives_the_same_files_and_fingerprint(name: str) -> None:
    again = registry.train(settings_for(name), iter(CORPUS))
    assert again.files() == train_small(name).files()
    assert again.fingerprint == train_small(name).fingerprint


def test_bpe_is_the_same_with_one_thread_and_with_several() -> None:
    code = (
        "import random; r = random.Random(5)\n"
        "from nielsgpt.tokenizers import bpe\n"
        "texts = [' '.join(r.choices('abcdefgh', k=5)) + str(n) for n in range(3000)]\n"
        "print(bpe.train(texts, 380).fingerprint)"
    )
    fingerprints = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "RAYON_NUM_THREADS": count, "PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for count in ("1", "5")
    ]
    assert fingerprints[0] == fingerprints[1] != ""


def test_fingerprints_of_kinds_differ() -> None:
    assert len({train_small(name).fingerprint for name in SIZES}) == len(SIZES)


def test_characters_are_sorted_and_others_become_bytes() -> None:
    tokenizer = char.train(["banana", "cab"], 1000)
    assert tokenizer.vocabulary == ["a", "b", "c", "n"]
    assert tokenizer.vocab_size == 4 + 256 + 4
    assert tokenizer.encode("nab") == [3, 0, 1]
    assert tokenizer.encode("\u00e9a\U0001f600") == [
        *(4 + byte for byte in "\u00e9".encode()),
        0,
        *(4 + byte for byte in "\U0001f600".encode()),
    ]


def test_where_not_all_characters_fit_the_most_frequent_stay() -> None:
    tokenizer = char.train(["zzzz", "yyy", "aa", "bb", "c"], 260 + 3)
    assert tokenizer.vocabulary == ["a", "y", "z"]  # a before b, which is as frequent
    assert tokenizer.vocab_size == 263


def test_the_file_of_characters_has_both_directions_in_plain_text() -> None:
    content = char.train(["ab\u00e9"], 300).files()["vocab.json"]
    assert "\u00e9" in content.decode()
    assert json.loads(content) == {
        "stoi": {"a": 0, "b": 1, "\u00e9": 2},
        "itos": ["a", "b", "\u00e9"],
    }


def test_words_take_the_space_before_them_keep_their_case_and_leave_nothing_out() -> None:
    text = "The lamp,  the\n\n lamp!\t x_1 na\u00efve\u2014 \u4e2d\u6587 "
    found = word.WORDS.findall(text)
    assert "".join(found) == text
    assert found[:8] == ["The", " lamp", ",", " ", " the", "\n\n", " lamp", "!"]
    assert found[-1] == " "


def test_the_most_frequent_words_have_ids_and_others_become_bytes() -> None:
    tokenizer = word.train(["a a a b b c"], 260 + 2)
    assert pieces_of(tokenizer, "a a b zz") == [b"a", b" a", b" b", b" ", b"z", b"z"]
    assert tokenizer.vocabulary == [" a", " b"]


def test_bpe_opens_in_its_own_library_and_gives_the_same_ids() -> None:
    tokenizer = train_small("bpe")
    opened = library.Tokenizer.from_str(tokenizer.files()["tokenizer.json"].decode())
    for text in ("the lamp, na\u00efve \U0001f389", "<|eot|>", "  a\n\n\tb'll 2024", "\u2581"):
        assert opened.encode(text, add_special_tokens=False).ids == tokenizer.encode(text)
    assert opened.get_vocab_size() == tokenizer.vocab_size - 4
    assert opened.token_to_id("<|eot|>") is None


def test_bpe_has_every_byte_and_merges_frequent_pairs() -> None:
    tokenizer = bpe.train(["lamp lamp lamp lamp"] * 3, 263)
    singles = {tokenizer.token_bytes(token) for token in range(256)}
    assert singles == {bytes([byte]) for byte in range(256)}
    merged = [tokenizer.token_bytes(token) for token in range(256, 259)]
    assert all(piece in b" lamp" and len(piece) > 1 for piece in merged)


def test_bpe_puts_no_space_before_a_text() -> None:
    tokenizer = bpe.train([" lamp lamp lamp lamp"] * 3, 264)
    assert pieces_of(tokenizer, "lamp lamp")[-1] == b" lamp"
    assert pieces_of(tokenizer, "lamp")[0] != b" lamp"


@pytest.mark.parametrize("name", ["word", "bpe", "pieces bpe", "pieces unigram"])
def test_too_many_ids_for_a_corpus_is_a_line_with_a_size_that_works(name: str) -> None:
    wanted = settings_for(name).model_copy(update={"vocab_size": 4000})
    line = r"tokenizer\.vocab_size 4000 is too large for this corpus, which has enough for (\d+)"
    with pytest.raises(TokenizerError, match=line) as caught:
        registry.train(wanted, CORPUS)
    assert "\n" not in str(caught.value)
    available = int(str(caught.value).split("--set tokenizer.vocab_size=")[1].split()[0])
    feasible = wanted.model_copy(update={"vocab_size": available})
    assert registry.train(feasible, CORPUS).vocab_size == available


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_the_smallest_vocabulary_is_the_bytes_and_the_special_tokens(kind: str) -> None:
    smallest = TokenizerSettings(kind=kind, vocab_size=260)  # type: ignore[arg-type]
    tokenizer = registry.train(smallest, CORPUS)
    assert tokenizer.vocab_size == 260
    assert tokenizer.decode(tokenizer.encode(CORPUS[1])) == CORPUS[1]
    assert len(tokenizer.encode(CORPUS[1])) == len(CORPUS[1].encode())


def test_too_few_ids_for_the_characters_of_a_corpus_is_a_line() -> None:
    few = settings_for("pieces bpe").model_copy(update={"vocab_size": 262})
    with pytest.raises(TokenizerError, match="too small for the characters of this corpus; use"):
        registry.train(few, CORPUS)


@pytest.mark.parametrize("name", TRAINED)
def test_an_error_of_the_texts_stays_what_it_is(name: str) -> None:
    def broken() -> Iterator[str]:
        yield from CORPUS
        raise DataError("the third file is not UTF-8")

    with pytest.raises(DataError, match=r"^the third file is not UTF-8$"):
        registry.train(settings_for(name), broken())


@pytest.mark.parametrize("name", TRAINED)
def test_a_lone_surrogate_in_the_training_text_is_a_line(name: str) -> None:
    with pytest.raises(TokenizerError, match=r"character 2 .* U\+D800"):
        registry.train(settings_for(name), [*CORPUS, "ab\ud800"])


@pytest.mark.parametrize("name", TRAINED)
def test_unknown_text_is_encoded_with_byte_ids(name: str) -> None:
    tokenizer = train_small(name)
    ids = tokenizer.encode("\u0bb5\u1234")  # in no corpus
    assert set(ids) <= set(tokenizer.byte_ids)
    assert len(ids) == 6
    assert not set(tokenizer.encode(" the")) & set(tokenizer.byte_ids)
    assert all(len(tokenizer.token_bytes(token)) == 1 for token in tokenizer.byte_ids)


@pytest.mark.parametrize("odd", ["\u2585", "\u2581", "\t", "\x00", " the cat sat" * 2**17])
def test_sentencepiece_learns_from_lines_that_its_library_would_skip(odd: str) -> None:
    line = odd + " zebra" * 1000
    train_small = sentence_piece.train(["the cat sat on the mat", line], 285, "bpe")
    assert len(train_small.encode(" zebra")) < len(" zebra") // 2


def test_blank_text_cannot_train_a_tokenizer() -> None:
    with pytest.raises(TokenizerError, match="the text to train the tokenizer on is empty"):
        sentence_piece.train([" \n", "\t"], 300, "bpe")
