"""A tokenizer as a table, the common ground of other formats: text, score and kind of every id.

pieces   pieces that merge by score, with bytes as a fallback
unigram  pieces chosen as the most likely segmentation (Kudo 2018)
bytes    a character for each byte, merged by rank within GPT-2's words
"""

import json
from dataclasses import dataclass
from typing import Any, Literal

import sentencepiece
from tokenizers import pre_tokenizers

from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.errors import TokenizerError
from nielsgpt.tokenizers import bpe, sentence_piece
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.tokenizers.byte import ListTokenizer

TokenKind = Literal["normal", "unknown", "control", "byte"]
TableFormat = Literal["pieces", "unigram", "bytes"]
Merges = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TokenEntry:
    """One id: its text, with plain spaces, its score and its kind."""

    text: str
    score: float = 0.0
    kind: TokenKind = "normal"


@dataclass(frozen=True)
class TokenTable:
    """All ids in order; merges by rank."""

    format: TableFormat
    entries: tuple[TokenEntry, ...]
    merges: Merges

    @property
    def ids(self) -> dict[str, int]:
        """The id of each text."""
        return {entry.text: token for token, entry in enumerate(self.entries)}


def build_token_table(tokenizer: Tokenizer) -> TokenTable:
    """The tokenizer's vocabulary as a table.

    Raises TokenizerError for kind word: it encodes an unknown word as bytes even if parts of it are
    known words, which no other library does.
    """
    if tokenizer.kind == "sentencepiece":
        return _from_sentencepiece(tokenizer.files()[sentence_piece.MODEL_FILE])
    if tokenizer.kind == "bpe":
        model = json.loads(tokenizer.files()[bpe.MODEL_FILE])["model"]
        merges = tuple((left, right) for left, right in model["merges"])
        return _build_byte_table(sorted(model["vocab"], key=model["vocab"].__getitem__), merges)
    if tokenizer.kind == "byte":
        return _build_byte_table(_list_byte_characters(), ())
    if isinstance(tokenizer, ListTokenizer) and tokenizer.kind == "char":
        known = [TokenEntry(character) for character in tokenizer.vocabulary]
        return TokenTable("pieces", (*known, *_list_byte_tokens(), *_list_special_tokens()), ())
    raise TokenizerError(f"no other library supports a tokenizer of kind {tokenizer.kind}")


def _from_sentencepiece(model: bytes) -> TokenTable:
    processor: Any = sentencepiece.SentencePieceProcessor(model_proto=model)
    entries = []
    for token in range(processor.vocab_size()):
        text, score = processor.id_to_piece(token), processor.get_score(token)
        if processor.is_unknown(token):
            entries.append(TokenEntry(text, score, "unknown"))
        elif processor.is_control(token):
            entries.append(TokenEntry(text, score, "control"))
        elif processor.is_byte(token):
            entries.append(TokenEntry(text, score, "byte"))
        else:
            entries.append(TokenEntry(text.replace(sentence_piece.SPACE, " "), score))
    # A BPE model of SentencePiece has scores 0, -1, -2, ...; a unigram model has log-probabilities.
    scores = [entry.score for entry in entries if entry.kind == "normal"]
    if scores != [-rank for rank in range(len(scores))]:
        return TokenTable("unigram", tuple(entries), ())
    return TokenTable("pieces", tuple(entries), _find_merges(entries))


def _find_merges(entries: list[TokenEntry]) -> Merges:
    """All pairs of pieces that form a third one, in the order of the third."""
    rank = {entry.text: -entry.score for entry in entries if entry.kind == "normal"}
    merges: list[tuple[str, str]] = []
    for piece in sorted(rank, key=rank.__getitem__):
        splits = ((piece[:index], piece[index:]) for index in range(1, len(piece)))
        pairs = [pair for pair in splits if pair[0] in rank and pair[1] in rank]
        merges += sorted(pairs, key=lambda pair: (rank[pair[0]], rank[pair[1]]))
    return tuple(merges)


def _build_byte_table(texts: list[str], merges: Merges) -> TokenTable:
    entries = (*(TokenEntry(text) for text in texts), *_list_special_tokens())
    return TokenTable("bytes", entries, merges)


def _list_byte_characters() -> list[str]:
    """The byte-level alphabet: a visible byte is its own character, others are 256, 257, ..."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    visible = {ord(character): character for character in alphabet if ord(character) < 256}
    hidden = iter(alphabet[len(visible) :])
    return [visible[byte] if byte in visible else next(hidden) for byte in range(256)]


def _list_byte_tokens() -> list[TokenEntry]:
    return [TokenEntry(f"<0x{byte:02X}>", 0.0, "byte") for byte in range(256)]


def _list_special_tokens() -> list[TokenEntry]:
    return [TokenEntry(text, 0.0, "control") for text in SPECIAL_TEXTS]
