"""Any text comes back as it was, and none of it becomes a special token."""

import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.errors import TokenizerError
from tests.tokenizers.conftest import SIZES, train_small

FRAGMENTS = [
    *SPECIAL_TEXTS,
    *("<|", "|>", "<", "|", ">", "eot", "sys", "usr", "asst", "<|eo", "t|>", "\\|eot|>"),
    *("<0xE2>", "<0x3C>", "<unk>", "<s>", "</s>", "[UNK]", "<|endoftext|>", "259", "\x00"),
    *("\u2581", "\u2581\u2581", "\u0120", "\u010a", "\ufffd", "\u200d", "\ufeff", "\uff5c"),
    *(" ", "  ", "\n", "\r\n", "\t", "\u0085", "\u2028", "\u3000", "\u00a0"),
    *("\U0001f389", "\U0001f9d1\u200d\U0001f680", "e\u0301", "\u00e9", "\u4e2d", "12", "the", "'s"),
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TEXT |= st.lists(st.sampled_from(FRAGMENTS)).map("".join)
every_kind = pytest.mark.parametrize("name", SIZES)


def hostile(count: int, seed: int) -> Iterator[str]:
    """Texts of fragments of special tokens, and of any code points."""
    drawn = random.Random(seed)
    for number in range(count):
        if number % 4:
            yield "".join(drawn.choices(FRAGMENTS, k=drawn.randint(1, 12)))
        else:
            points = (drawn.randrange(0x110000 - 0x800) for _ in range(drawn.randint(1, 8)))
            yield "".join(chr(p if p < 0xD800 else p + 0x800) for p in points)


def prove(name: str, texts: list[str]) -> None:
    """All the texts come back, byte lengths add up, and no special token is among the ids."""
    tokenizer = train_small(name)
    ids, lengths = tokenizer.encode_arrays(texts)
    starts = np.concatenate(([0], tokenizer.byte_lengths[ids].cumsum()))
    ends = np.concatenate(([0], lengths.cumsum()))
    spelled = [len(text.encode()) for text in texts]
    assert np.array_equal(np.diff(starts[ends]), spelled)
    assert tokenizer.decode_bytes(ids.tolist()) == "".join(texts).encode()
    assert not np.isin(ids, [*vars(tokenizer.specials).values()]).any()


@every_kind
@settings(max_examples=200, deadline=None)
@given(text=TEXT)
def test_any_text_comes_back_and_its_byte_lengths_add_up(name: str, text: str) -> None:
    tokenizer = train_small(name)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert int(tokenizer.byte_lengths[ids].sum()) == len(text.encode())


@every_kind
@settings(max_examples=200, deadline=None)
@given(text=TEXT)
def test_no_text_becomes_a_special_token(name: str, text: str) -> None:
    tokenizer = train_small(name)
    reserved = {*vars(tokenizer.specials).values()}
    assert len(reserved) == 4
    assert not reserved & set(tokenizer.encode(text))
    assert tokenizer.decode(reserved) == ""


@every_kind
def test_hostile_texts_come_back_and_spell_no_special_token(name: str) -> None:
    prove(name, list(hostile(10_000, seed=1)))


@pytest.mark.slow
@every_kind
def test_sixty_thousand_hostile_texts_come_back_and_spell_no_special_token(name: str) -> None:
    prove(name, list(hostile(60_000, seed=2)))


@every_kind
@settings(max_examples=50, deadline=None)
@given(texts=st.lists(TEXT, max_size=5))
def test_a_batch_and_its_arrays_hold_what_its_texts_give_one_by_one(
    name: str, texts: list[str]
) -> None:
    tokenizer = train_small(name)
    one_by_one = [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_batch(texts) == one_by_one
    ids, lengths = tokenizer.encode_arrays(texts)
    assert ids.tolist() == [token for each in one_by_one for token in each]
    assert lengths.tolist() == [len(each) for each in one_by_one]
    assert (ids.dtype, lengths.dtype) == (np.int32, np.int64)


@every_kind
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_the_bytes_of_any_ids_are_the_bytes_of_each_joined(name: str, data: st.DataObject) -> None:
    tokenizer = train_small(name)
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1)))
    joined = b"".join(tokenizer.token_bytes(token) for token in ids)
    assert tokenizer.decode_bytes(ids) == joined
    assert tokenizer.decode(ids) == joined.decode("utf-8", "replace")


@every_kind
@pytest.mark.parametrize("foreign", [-1, 100_000])
def test_an_id_that_is_not_in_the_vocabulary_is_an_error_that_names_it(
    name: str, foreign: int
) -> None:
    with pytest.raises(TokenizerError, match=f"the id {foreign} is not in the vocabulary of"):
        train_small(name).decode([0, foreign])


@every_kind
@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=20))
def test_bytes_that_are_no_text_are_refused_and_all_others_come_back(
    name: str, data: bytes
) -> None:
    tokenizer, text = train_small(name), data.decode("utf-8", "surrogateescape")
    if any("\ud800" <= character <= "\udfff" for character in text):
        with pytest.raises(TokenizerError, match=r"lone surrogate U\+DC"):
            tokenizer.encode(text)
    else:
        assert tokenizer.decode_bytes(tokenizer.encode(text)) == data


@every_kind
def test_a_lone_surrogate_is_an_error_that_names_its_place(name: str) -> None:
    tokenizer = train_small(name)
    for encode in (
        lambda: tokenizer.encode("ab\ud800"),
        lambda: tokenizer.encode_batch(["ab\ud800"]),
    ):
        with pytest.raises(TokenizerError, match=r"character 2 .* U\+D800"):
            encode()
    # Two halves of a pair in two texts are two lone ones.
    with pytest.raises(TokenizerError, match=r"character 0 .* U\+D83D"):
        tokenizer.encode_arrays(["\ud83d", "\ude00"])
