"""SentencePiece, set up so that every text comes back as it was.

Identity normalisation, no dummy prefix, no folding of white space, byte fallback. The special
tokens are control symbols, which text never reaches. SentencePiece spells a space as U+2581, so a
U+2581 of the text itself is split off and spelled in bytes. Newlines are byte pieces too.
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
from nielsgpt.tokenizers.base import Tokenizer, too_large, utf8

SPACE = "\u2581"
RESERVED = re.compile("[\u2581\u2585]")  # its space; its unknown, for which it skips the whole line
MODEL_FILE = "spm.model"
LONGEST_LINE = 2**20  # bytes; SentencePiece skips a longer one
LONGEST_PART = re.compile(r".{1,250000}(?=\s|$)|.{1,250000}")  # of 4 bytes a character at most


class SentencePieceTokenizer(Tokenizer):
    """Trained pieces (Kudo and Richardson 2018) with one id for each of the 256 bytes."""

    kind = "sentencepiece"
    library = "sentencepiece"

    def __init__(self, model: bytes) -> None:
        self._model = model
        try:
            if not model:  # the library takes nothing for a model that is yet to come
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
        utf8(text)
        if SPACE not in text:
            return list(self._processor.encode(text))
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text; all go to SentencePiece in one call, cut at each U+2581."""
        parts, counts = _parts(texts)
        encoded = self._processor.encode(parts, num_threads=1)
        return encoded if counts is None else self._rejoined(iter(encoded), counts)

    def encode_arrays(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The ids of all texts one after another, and how many each text has, (n,)."""
        parts, counts = _parts(texts)
        if counts is not None or not parts:
            return super().encode_arrays(texts)
        encoded = self._processor.encode(parts, num_threads=1, return_type="numpy")
        return np.concatenate(encoded), np.fromiter(map(len, encoded), np.int64, len(encoded))

    def _rejoined(self, encoded: Iterator[list[int]], counts: list[int]) -> list[list[int]]:
        """The ids of each text from those of its parts, with the bytes of U+2581 between."""
        whole = []
        for count in counts:
            ids = next(encoded)
            for part in itertools.islice(encoded, count - 1):
                ids += [*self._space_bytes, *part]
            whole.append(ids)
        return whole

    def token_bytes(self, token: int) -> bytes:
        """The piece's text, a byte piece's byte, nothing for control and unknown."""
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
    """A tokenizer of exactly `vocab_size` ids trained on the texts.

    Raises TokenizerError when the texts hold too little for that many pieces.
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
            max_sentence_length=LONGEST_LINE,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        if lines.failure is not None:
            raise lines.failure from None
        raise _misfit(vocab_size, str(error)) from None
    tokenizer = SentencePieceTokenizer(model.getvalue())
    if tokenizer.vocab_size != vocab_size:
        raise too_large(vocab_size, tokenizer.vocab_size)
    return tokenizer


def restore(files: Mapping[str, bytes]) -> SentencePieceTokenizer:
    """The tokenizer of its files."""
    return SentencePieceTokenizer(files[MODEL_FILE])


def _parts(texts: Sequence[str]) -> tuple[list[str], list[int] | None]:
    """The texts cut at each U+2581, and the number of parts of each; None where each is one."""
    for text in texts:
        utf8(text)
    if not any(SPACE in text for text in texts):
        return list(texts), None
    cut = [text.split(SPACE) for text in texts]
    return list(itertools.chain.from_iterable(cut)), list(map(len, cut))


class _Lines:
    """The lines of the texts; `failure` is the error of the texts, which SentencePiece swallows."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[str]:
        try:
            for text in self._texts:
                utf8(text)
                for line in RESERVED.sub(" ", text).splitlines():
                    yield from filter(str.strip, _short(line))
        except Exception as error:
            self.failure = error
            raise


def _short(line: str) -> list[str]:
    """The line, or where it is too long for SentencePiece its parts, cut before spaces."""
    if len(line.encode()) <= LONGEST_LINE:
        return [line]
    return LONGEST_PART.findall(line)


def _misfit(vocab_size: int, reason: str) -> TokenizerError:
    limit = re.search(r"<= ?(\d+)", reason)
    least = re.search(r"required_chars\. \d+ vs (\d+)", reason)
    if least:
        return TokenizerError(
            f"tokenizer.vocab_size {vocab_size} is too small for the characters of this corpus; "
            f"use --set tokenizer.vocab_size={least[1]} or more"
        )
    if "sentences_.empty()" in reason:
        return TokenizerError("the text to train the tokenizer on is blank; add text")
    if limit:
        return too_large(vocab_size, int(limit[1]))
    return TokenizerError(
        f"tokenizer.vocab_size {vocab_size} cannot be trained on this corpus: {reason.strip()}; "
        "set another size or use more text"
    )
