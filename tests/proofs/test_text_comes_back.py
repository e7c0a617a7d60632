"""Any text comes back as it was, and none of it becomes a special token."""

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.errors import TokenizerError
from nielsgpt.tokenizers import pieces
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.tokenizers.units import ByteTokenizer

CORPUS = ["<|eot|> the lamp | <0xE2> sys usr asst eot", "a\u2581b \U0001f389 12\n\n\tend"] * 20
HOSTILE = st.lists(
    st.sampled_from(
        [
            *SPECIAL_TEXTS,
            "<|",
            "|>",
            "eot",
            "sys",
            "<0xE2>",
            "<unk>",
            "\u2581",
            " ",
            "\n",
            "\U0001f389",
            "<s>",
        ]
    )
).map("".join)
TEXT = st.text(st.characters(exclude_categories=["Cs"])) | HOSTILE


@functools.cache
def made(kind: str) -> Tokenizer:
    return (
        ByteTokenizer()
        if kind == "byte"
        else pieces.train(CORPUS, 300 if kind == "bpe" else 283, kind)
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["byte", "bpe", "unigram"])
@settings(max_examples=400, deadline=None)
@given(text=TEXT)
def test_any_text_comes_back_and_its_byte_lengths_add_up(kind: str, text: str) -> None:
    tokenizer = made(kind)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert int(tokenizer.byte_lengths[ids].sum()) == len(text.encode())


@pytest.mark.parametrize("kind", ["byte", "bpe", "unigram"])
@settings(max_examples=400, deadline=None)
@given(text=TEXT)
def test_no_text_becomes_a_special_token(kind: str, text: str) -> None:
    tokenizer = made(kind)
    specials = tokenizer.specials
    reserved = {specials.system, specials.user, specials.assistant, specials.end}
    assert len(reserved) == 4
    assert not reserved & set(tokenizer.encode(text))


@pytest.mark.parametrize("kind", ["byte", "bpe"])
@settings(max_examples=50, deadline=None)
@given(texts=st.lists(TEXT, max_size=5))
def test_a_batch_encodes_as_its_texts_one_by_one(kind: str, texts: list[str]) -> None:
    tokenizer = made(kind)
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]


@pytest.mark.parametrize("kind", ["byte", "bpe"])
def test_a_lone_surrogate_is_an_error_that_names_its_place(kind: str) -> None:
    with pytest.raises(TokenizerError, match=r"character 2 .* U\+D800"):
        made(kind).encode("ab\ud800")
