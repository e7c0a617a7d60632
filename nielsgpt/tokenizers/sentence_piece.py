"""SentencePiece, configured so that decoding restores every text exactly.

Identity normalization, no dummy prefix, white space kept, byte fallback. The special tokens are
control symbols, which text never encodes to. SentencePiece writes a space as U+2581, so a U+2581 in
the text itself is split off and encoded as bytes. Newlines are byte pieces too.
"""

import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from nielsgpt.conversation import SPECIAL_TEXTS, Specials
from nielsgpt.errors import TokenizerError
from nielsgpt.tokenizers.base import Tokenizer, encode_utf8, vocab_size_error

SPACE = "\u2581"
RESERVED = re.compile("[\u2581\u2585]")  # its space and unknown symbols
MODEL_FILE = "spm.model"
MAX_LINE_BYTES = 2**20  # SentencePiece skips longer lines
LINE_PART = re.compile(r".{1,250000}(?=\s|$)|.{1,250000}")  # at most 4 bytes per character


class SentencePieceTokenizer(Tokenizer):
    """A trained SentencePiece model (Kudo and Richardson 2018) with all 256 byte pieces."""

    kind = "sentencepiece"
    library = "sentencepiece"

    def __init__(self, model: bytes) -> None:
        self._model = model
        try:
            if not model:  # the library accepts this as a model to be loaded later
                raise RuntimeError("it is empty")
            self._processor: Any = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise TokenizerError(f"the SentencePiece model cannot be read: {error}") from None
        ids = [self._processor.piece_to_id(text) for text in SPECIAL_TEXTS]
        if not all(map(self._processor.is_control, ids)):
            raise TokenizerError(
                f"the SentencePiece model lacks the control symbols {' '.join(SPECIAL_TEXTS)}; "
                "train one with 'nielsgpt tokenizer'"
            )
        self._specials = Specials(*ids)
        self._space_bytes = [self._processor.piece_to_id(f"<0x{b:02X}>") for b in SPACE.encode()]

    @property
    def vocab_size(self) -> int:
        """The number of pieces."""
        return int(self._processor.vocab_size())

    @property
    def specials(self) -> Specials:
        """The ids of the control symbols."""
        return self._specials

    def encode(self, text: str) -> list[int]:
        """The ids of the pieces."""
        encode_utf8(text)
        if SPACE not in text:
            return list(self._processor.encode(text))
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text, split at U+2581, in one call to SentencePiece."""
        parts, counts = _split_at_space(texts)
        encoded = self._processor.encode(parts, num_threads=1)
        return encoded if counts is None else self._rejoin(iter(encoded), counts)

    def encode_arrays(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The concatenated ids of all texts, (N,), and the number of ids of each text, (n,)."""
        parts, counts = _split_at_space(texts)
        if counts is not None or not parts:
            return super().encode_arrays(texts)
        encoded = self._processor.encode(parts, num_threads=1, return_type="numpy")
        return np.concatenate(encoded), np.fromiter(map(len, encoded), np.int64, len(encoded))

    def _rejoin(self, encoded: Iterator[list[int]], counts: list[int]) -> list[list[int]]:
        """Join the ids of each text's parts, with the bytes of U+2581 between them."""
        joined = []
        for count in counts:
            ids = next(encoded)
            for part in itertools.islice(encoded, count - 1):
                ids += [*self._space_bytes, *part]
            joined.append(ids)
        return joined

    def token_bytes(self, token: int) -> bytes:
        """The bytes of a piece; empty for control symbols and the unknown piece."""
        processor = self._processor
        if processor.is_control(token) or processor.is_unknown(token):
            return b""
        piece: str = processor.id_to_piece(token)
        if processor.is_byte(token):
            return bytes([int(piece[3:5], 16)])
        return piece.replace(SPACE, " ").encode()

    @cached_property
    def byte_ids(self) -> frozenset[int]:
        """The ids of the byte pieces."""
        return frozenset(filter(self._processor.is_byte, range(self.vocab_size)))

    def files(self) -> dict[str, bytes]:
        """The SentencePiece model."""
        return {MODEL_FILE: self._model}


def train(
    texts: Iterable[str], vocab_size: int, algorithm: Literal["bpe", "unigram"]
) -> SentencePieceTokenizer:
    """Train a tokenizer with exactly `vocab_size` ids.

    Raises TokenizerError if the texts are too small for that many.
    """
    model, lines = io.BytesIO(), _Lines(texts)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            vocab_size=vocab_size,
            model_type=algorithm,
            character_coverage=0.9999,
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            split_digits=True,
            control_symbols=list(SPECIAL_TEXTS),
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            max_sentence_length=MAX_LINE_BYTES,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        if lines.failure is not None:
            raise lines.failure from None
        raise _training_error(vocab_size, str(error)) from None
    tokenizer = SentencePieceTokenizer(model.getvalue())
    if tokenizer.vocab_size != vocab_size:
        raise vocab_size_error(vocab_size, tokenizer.vocab_size)
    return tokenizer


def restore(files: Mapping[str, bytes]) -> SentencePieceTokenizer:
    """Restore the tokenizer from its files."""
    return SentencePieceTokenizer(files[MODEL_FILE])


def _split_at_space(texts: Sequence[str]) -> tuple[list[str], list[int] | None]:
    """Split the texts at U+2581; the parts, and the number of parts per text (None: all 1)."""
    for text in texts:
        encode_utf8(text)
    if not any(SPACE in text for text in texts):
        return list(texts), None
    split = [text.split(SPACE) for text in texts]
    return list(itertools.chain.from_iterable(split)), list(map(len, split))


class _Lines:
    """The lines of the texts; `failure` is their error, which SentencePiece hides."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[str]:
        try:
            for text in self._texts:
                encode_utf8(text)
                for line in RESERVED.sub(" ", text).splitlines():
                    yield from filter(str.strip, _split_long_line(line))
        except Exception as error:
            self.failure = error
            raise


def _split_long_line(line: str) -> list[str]:
    """Split a line that is too long for SentencePiece before spaces."""
    if len(line.encode()) <= MAX_LINE_BYTES:
        return [line]
    return LINE_PART.findall(line)


def _training_error(vocab_size: int, reason: str) -> TokenizerError:
    limit = re.search(r"<= ?(\d+)", reason)
    minimum = re.search(r"required_chars\. \d+ vs (\d+)", reason)
    if minimum:
        return TokenizerError(
            f"tokenizer.vocab_size {vocab_size} is too small for the characters of this corpus; "
            f"use --set tokenizer.vocab_size={minimum[1]} or more"
        )
    if "sentences_.empty()" in reason:
        return TokenizerError("the text to train the tokenizer on is empty; add text")
    if limit:
        return vocab_size_error(vocab_size, int(limit[1]))
    return TokenizerError(
        f"tokenizer.vocab_size {vocab_size} cannot be trained on this corpus: {reason.strip()}; "
        "set another size or use more text"
    )
