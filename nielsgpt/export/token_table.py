"""A tokenizer as others keep one: a spelling, a score and a sort for every id, and merges.

pieces   text in pieces that merge by score; what is not among them is spelled in bytes
unigram  the same pieces, chosen as the likeliest whole (Kudo 2018)
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

Sort = Literal["normal", "unknown", "control", "byte"]
Form = Literal["pieces", "unigram", "bytes"]
Merges = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TokenEntry:
    """One id: its spelling, with spaces as spaces, its score and its sort."""

    spelling: str
    score: float = 0.0
    sort: Sort = "normal"


@dataclass(frozen=True)
class TokenTable:
    """All ids in order; `merges` best first."""

    form: Form
    entries: tuple[TokenEntry, ...]
    merges: Merges

    @property
    def ids(self) -> dict[str, int]:
        """The id of each spelling."""
        return {entry.spelling: token for token, entry in enumerate(self.entries)}


def vocabulary(tokenizer: Tokenizer) -> TokenTable:
    """The tokenizer's vocabulary. Raises TokenizerError for kind word: a word that it does not know
    is spelled in bytes even where its characters are words themselves, which no one else does."""
    if tokenizer.kind == "sentencepiece":
        return _sentencepiece_tokens(tokenizer.files()[sentence_piece.MODEL_FILE])
    if tokenizer.kind == "bpe":
        model = json.loads(tokenizer.files()[bpe.MODEL_FILE])["model"]
        merges = tuple((left, right) for left, right in model["merges"])
        return _of_bytes(sorted(model["vocab"], key=model["vocab"].__getitem__), merges)
    if tokenizer.kind == "byte":
        return _of_bytes(_byte_spellings(), ())
    if isinstance(tokenizer, ListTokenizer) and tokenizer.kind == "char":
        known = [TokenEntry(character) for character in tokenizer.vocabulary]
        return TokenTable("pieces", (*known, *_bytes(), *_specials()), ())
    raise TokenizerError(f"a tokenizer of kind {tokenizer.kind} has no form outside of nielsgpt")


def _sentencepiece_tokens(model: bytes) -> TokenTable:
    processor: Any = sentencepiece.SentencePieceProcessor(model_proto=model)
    entries = []
    for token in range(processor.vocab_size()):
        spelling, score = processor.id_to_piece(token), processor.get_score(token)
        if processor.is_unknown(token):
            entries.append(TokenEntry(spelling, score, "unknown"))
        elif processor.is_control(token):
            entries.append(TokenEntry(spelling, score, "control"))
        elif processor.is_byte(token):
            entries.append(TokenEntry(spelling, score, "byte"))
        else:
            entries.append(TokenEntry(spelling.replace(sentence_piece.SPACE, " "), score))
    # SentencePiece's scores of merges are 0, -1, -2, ...; those of a unigram are logarithms.
    scores = [entry.score for entry in entries if entry.sort == "normal"]
    if scores != [-rank for rank in range(len(scores))]:
        return TokenTable("unigram", tuple(entries), ())
    return TokenTable("pieces", tuple(entries), _merges(entries))


def _merges(entries: list[TokenEntry]) -> Merges:
    """Every pair of pieces that makes a third one, in the order of what it makes."""
    rank = {e.spelling: -e.score for e in entries if e.sort == "normal"}
    found: list[tuple[str, str]] = []
    for piece in sorted(rank, key=rank.__getitem__):
        pairs = ((piece[:at], piece[at:]) for at in range(1, len(piece)))
        made = [pair for pair in pairs if pair[0] in rank and pair[1] in rank]
        found += sorted(made, key=lambda pair: (rank[pair[0]], rank[pair[1]]))
    return tuple(found)


def _of_bytes(spellings: list[str], merges: Merges) -> TokenTable:
    entries = (*(TokenEntry(spelling) for spelling in spellings), *_specials())
    return TokenTable("bytes", entries, merges)


def _byte_spellings() -> list[str]:
    """The library's character for each byte: itself where it is visible, else, in order, the next
    of those from 256 on."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    shown = {ord(character): character for character in alphabet if ord(character) < 256}
    hidden = iter(alphabet[len(shown) :])
    return [shown[byte] if byte in shown else next(hidden) for byte in range(256)]


def _bytes() -> list[TokenEntry]:
    return [TokenEntry(f"<0x{byte:02X}>", 0.0, "byte") for byte in range(256)]


def _specials() -> list[TokenEntry]:
    return [TokenEntry(text, 0.0, "control") for text in SPECIAL_TEXTS]
