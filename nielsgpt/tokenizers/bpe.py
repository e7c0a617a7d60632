"""Byte-level BPE (Radford et al. 2019): tokens merged from bytes, never across words.

The 256 bytes are its alphabet, so decoding restores every text exactly. The special tokens have ids
beyond the vocabulary of the model, so no text can encode to them.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from nielsgpt.conversation import SPECIAL_TEXTS, Specials
from nielsgpt.errors import TokenizerError
from nielsgpt.system.atomic_files import write_text
from nielsgpt.tokenizers.base import Tokenizer, encode_utf8, vocab_size_error

MODEL_FILE = "tokenizer.json"
MIN_FREQUENCY = 2  # a pair that occurs once is not merged


class BpeTokenizer(Tokenizer):
    """The ids of a `tokenizer.json` as written by `tokenizers`, then the special tokens."""

    kind = "bpe"
    library = "tokenizers"

    def __init__(self, content: bytes) -> None:
        # One thread, like the other kinds: the cache builder runs one process per core.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._content = content
        try:
            model = json.loads(content)["model"]
            merges = [(left, right) for left, right in model["merges"]]
            self._pieces = _pieces_by_id(model["vocab"])
            self._inner = _wrap_model(models.BPE(vocab=model["vocab"], merges=merges))
        except Exception as error:  # the library raises nothing narrower
            raise TokenizerError(f"the BPE model cannot be read: {error!r}") from None

    @classmethod
    def from_files(cls, vocab: Path, merges: Path) -> Self:
        """Read a `vocab.json` and a `merges.txt`, as GPT-2 and Minimal LM keep them.

        Raises TokenizerError for files that are missing or no such pair.
        """
        try:
            pieces = json.loads(vocab.read_text("utf-8"))
            lines = merges.read_text("utf-8").splitlines()
            pairs = [line.split(" ") for line in lines if line and not line.startswith("#version")]
            model = models.BPE(vocab=pieces, merges=[(left, right) for left, right in pairs])
        except Exception as error:  # the library raises nothing narrower
            raise TokenizerError(f"{vocab} and {merges} are no BPE model: {error!r}") from None
        return cls(_wrap_model(model).to_str().encode())

    def save_files(self, vocab: Path, merges: Path) -> None:
        """Write the pair of files that `from_files` reads."""
        model = json.loads(self._content)["model"]
        write_text(vocab, json.dumps(model["vocab"], ensure_ascii=False))
        lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
        write_text(merges, "\n".join(lines) + "\n")

    @property
    def vocab_size(self) -> int:
        """The number of pieces and special tokens."""
        return len(self._pieces) + len(SPECIAL_TEXTS)

    @property
    def specials(self) -> Specials:
        """The last four ids."""
        return Specials(*range(len(self._pieces), self.vocab_size))

    @cached_property
    def byte_ids(self) -> frozenset[int]:
        """The ids of single bytes that are not characters by themselves."""
        single_bytes = (token for token, piece in enumerate(self._pieces) if len(piece) == 1)
        return frozenset(token for token in single_bytes if self._pieces[token][0] >= 0x80)

    def encode(self, text: str) -> list[int]:
        """The ids of the pieces."""
        encode_utf8(text)
        return list(self._inner.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text, in one call."""
        for text in texts:
            encode_utf8(text)
        encoded = self._inner.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encoded]

    def token_bytes(self, token: int) -> bytes:
        """The piece's bytes; empty for a special token."""
        return self._pieces[token] if token < len(self._pieces) else b""

    def files(self) -> dict[str, bytes]:
        """The model in the library's own format."""
        return {MODEL_FILE: self._content}


def train(texts: Iterable[str], vocab_size: int) -> BpeTokenizer:
    """Train a tokenizer with exactly `vocab_size` ids.

    Raises TokenizerError if the texts are too small for that many.
    """
    inner = _wrap_model(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL_TEXTS),
        min_frequency=MIN_FREQUENCY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(_check_utf8(texts), trainer)
    tokenizer = BpeTokenizer(inner.to_str().encode())
    if tokenizer.vocab_size != vocab_size:
        raise vocab_size_error(vocab_size, tokenizer.vocab_size)
    return tokenizer


def restore(files: Mapping[str, bytes]) -> BpeTokenizer:
    """Restore the tokenizer from its files."""
    return BpeTokenizer(files[MODEL_FILE])


def _wrap_model(model: models.BPE) -> tokenizers.Tokenizer:
    """Put GPT-2's pre-tokenizer before the model, without prefix space or normalization."""
    inner = tokenizers.Tokenizer(model)
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return inner


def _pieces_by_id(vocab: Mapping[str, int]) -> list[bytes]:
    """The bytes of each id, from 0 on; the library writes each byte as one character."""
    byte_of = {character: byte for byte, character in enumerate(_byte_characters())}
    pieces = [b""] * len(vocab)
    for characters, token in vocab.items():
        if not 0 <= token < len(vocab) or pieces[token]:
            raise ValueError(f"the ids are not 0 to {len(vocab) - 1}, each once")
        pieces[token] = bytes(byte_of[character] for character in characters)
    if not {bytes([byte]) for byte in range(256)} <= set(pieces):
        raise ValueError("some bytes are missing")
    return pieces


def _byte_characters() -> Iterator[str]:
    """The character for each byte: visible Latin-1 characters stand for themselves, the others
    are the code points from 256 on, in order (Radford et al. 2019)."""
    code_point = 256
    for byte in range(256):
        visible = 0x21 <= byte <= 0x7E or (0xA1 <= byte <= 0xFF and byte != 0xAD)
        yield chr(byte if visible else code_point)
        code_point += not visible


def _check_utf8(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        encode_utf8(text)
        yield text
