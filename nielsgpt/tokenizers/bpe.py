"""Byte-level BPE (Radford et al. 2019): pieces merged from bytes, never across words.

The 256 bytes are its alphabet, so every text comes back as it was. The special tokens are ids past
its own vocabulary, which it does not know: no text can spell them.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from nielsgpt.conversation import SPECIAL_TEXTS, Specials
from nielsgpt.errors import TokenizerError
from nielsgpt.tokenizers.base import Tokenizer, too_large, utf8

MODEL_FILE = "tokenizer.json"
FEWEST = 2  # a pair that the corpus holds once is not merged


class BpeTokenizer(Tokenizer):
    """The ids of a `tokenizer.json` of the library `tokenizers`, then the special tokens."""

    kind = "bpe"
    library = "tokenizers"

    def __init__(self, content: bytes) -> None:
        # One thread, as in the other kinds: the cache builder has a process for each core.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._content = content
        try:
            model = json.loads(content)["model"]
            merges = [(left, right) for left, right in model["merges"]]
            self._pieces = _in_order(model["vocab"])
            self._inner = _around(models.BPE(vocab=model["vocab"], merges=merges))
        except Exception as error:  # the library raises no narrower one
            raise TokenizerError(f"the BPE model cannot be read: {error!r}") from None

    @property
    def vocab_size(self) -> int:
        """The pieces and the special tokens."""
        return len(self._pieces) + len(SPECIAL_TEXTS)

    @property
    def specials(self) -> Specials:
        """The last four ids."""
        return Specials(*range(len(self._pieces), self.vocab_size))

    @cached_property
    def byte_ids(self) -> frozenset[int]:
        """The ids of single bytes that are no character by themselves."""
        lone = (token for token, piece in enumerate(self._pieces) if len(piece) == 1)
        return frozenset(token for token in lone if self._pieces[token][0] >= 0x80)

    def encode(self, text: str) -> list[int]:
        """The ids of the pieces."""
        utf8(text)
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text, in one call."""
        for text in texts:
            utf8(text)
        encoded = self._inner.encode_batch_fast(list(texts), add_special_tokens=False)
        return [each.ids for each in encoded]

    def token_bytes(self, token: int) -> bytes:
        """The piece's bytes; none for a special token."""
        return self._pieces[token] if token < len(self._pieces) else b""

    def files(self) -> dict[str, bytes]:
        """The model as the library itself writes and opens it."""
        return {MODEL_FILE: self._content}


def train(texts: Iterable[str], vocab_size: int) -> BpeTokenizer:
    """A tokenizer of exactly `vocab_size` ids. Raises TokenizerError where the texts hold too
    little for that many."""
    inner = _around(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL_TEXTS),
        min_frequency=FEWEST,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(_check(texts), trainer)
    made = BpeTokenizer(inner.to_str().encode())
    if made.vocab_size != vocab_size:
        raise too_large(vocab_size, made.vocab_size)
    return made


def restore(files: Mapping[str, bytes]) -> BpeTokenizer:
    """The tokenizer of its files."""
    return BpeTokenizer(files[MODEL_FILE])


def _around(model: models.BPE) -> tokenizers.Tokenizer:
    """The model behind GPT-2's way to cut a text into words, with nothing added or folded."""
    inner = tokenizers.Tokenizer(model)
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return inner


def _in_order(vocab: Mapping[str, int]) -> list[bytes]:
    """The bytes of each id from 0 on, from the library's spelling of a byte as a character."""
    byte_of = {character: byte for byte, character in enumerate(_spellings())}
    pieces = [b""] * len(vocab)
    for spelled, token in vocab.items():
        if not 0 <= token < len(vocab) or pieces[token]:
            raise ValueError(f"the ids are not 0 to {len(vocab) - 1}, each once")
        pieces[token] = bytes(byte_of[character] for character in spelled)
    if not {bytes([byte]) for byte in range(256)} <= set(pieces):
        raise ValueError("it does not hold every byte")
    return pieces


def _spellings() -> Iterator[str]:
    """A character for each byte: the visible ones of Latin-1 stand for themselves, the others for
    the code points from 256 on, in order (Radford et al. 2019)."""
    hidden = 256
    for byte in range(256):
        shown = 0x21 <= byte <= 0x7E or (0xA1 <= byte <= 0xFF and byte != 0xAD)
        yield chr(byte if shown else hidden)
        hidden += not shown


def _check(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        utf8(text)
        yield text
