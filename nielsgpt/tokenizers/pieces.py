"""SentencePiece, set up so that every text comes back as it was.

Identity normalisation, no dummy prefix, no folding of white space, byte fallback. The special
tokens are control symbols, which text never reaches. SentencePiece spells a space as U+2581, so a
U+2581 of the text itself is split off and spelled in bytes. Newlines are byte pieces too.
"""

import io
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import sentencepiece

from nielsgpt.conversation import SPECIAL_TEXTS, Specials
from nielsgpt.errors import TokenizerError
from nielsgpt.tokenizers.base import Tokenizer, utf8

SPACE = "\u2581"
MODEL_FILE = "spm.model"
LONGEST_LINE = 2**20


class SentencePieceTokenizer(Tokenizer):
    """Trained pieces (Kudo and Richardson 2018) with one id for each of the 256 bytes."""

    kind = "sentencepiece"

    def __init__(self, model: bytes) -> None:
        self._model = model
        try:
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
        first, *rest = self._processor.encode(text.split(SPACE))
        return [*first, *(token for part in rest for token in (*self._space_bytes, *part))]

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """`encode` of each text, in one call where no text needs more care."""
        texts = list(texts)
        if any(SPACE in text for text in texts):
            return [self.encode(text) for text in texts]
        for text in texts:
            utf8(text)
        return list(self._processor.encode(texts, num_threads=1))

    def token_bytes(self, token: int) -> bytes:
        """The piece's text, a byte piece's byte, nothing for control and unknown."""
        processor = self._processor
        if processor.is_control(token) or processor.is_unknown(token):
            return b""
        piece: str = processor.id_to_piece(token)
        if processor.is_byte(token):
            return bytes([int(piece[3:5], 16)])
        return piece.replace(SPACE, " ").encode()

    def files(self) -> dict[str, bytes]:
        """The SentencePiece model."""
        return {MODEL_FILE: self._model}


def train(
    texts: Iterable[str], vocab_size: int, algorithm: Literal["bpe", "unigram"]
) -> SentencePieceTokenizer:
    """A tokenizer of exactly `vocab_size` ids trained on the texts.

    Raises TokenizerError when the texts hold too little for that many pieces.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(texts),
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
        raise TokenizerError(_too_large(vocab_size, str(error))) from None
    tokenizer = SentencePieceTokenizer(model.getvalue())
    if tokenizer.vocab_size != vocab_size:
        raise TokenizerError(_too_large(vocab_size, f"<= {tokenizer.vocab_size}"))
    return tokenizer


def _lines(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for line in text.replace(SPACE, " ").splitlines():
            if line.strip():
                yield line


def _too_large(vocab_size: int, reason: str) -> str:
    limit = re.search(r"<= ?(\d+)", reason)
    least = re.search(r"required_chars\. \d+ vs (\d+)", reason)
    if least:
        return (
            f"tokenizer.vocab_size {vocab_size} is too small for the characters of this corpus; "
            f"use --set tokenizer.vocab_size={least[1]} or more"
        )
    if limit:
        return (
            f"tokenizer.vocab_size {vocab_size} is too large for this corpus, which holds enough "
            f"for {limit[1]}; use --set tokenizer.vocab_size={limit[1]} or more text"
        )
    return (
        f"tokenizer.vocab_size {vocab_size} cannot be trained on this corpus: {reason.strip()}; "
        "set another size or use more text"
    )
