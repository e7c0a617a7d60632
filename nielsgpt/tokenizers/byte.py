"""Tokenizers whose ids are a list: known strings, then the 256 bytes, then the special tokens."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nielsgpt.conversation import SPECIAL_TEXTS, Specials
from nielsgpt.errors import TokenizerError
from nielsgpt.tokenizers.base import Tokenizer, utf8

GIVEN = 256 + len(SPECIAL_TEXTS)


class ListTokenizer(Tokenizer):
    """Ids of known strings in their order; whatever is not among them is spelled in bytes."""

    known: Sequence[str] = ()

    def __init__(self, known: Sequence[str]) -> None:
        self.known = list(known)

    @property
    def vocab_size(self) -> int:
        """The known strings, the bytes and the special tokens."""
        return len(self.known) + GIVEN

    @property
    def specials(self) -> Specials:
        """The last four ids."""
        return Specials(*range(self.vocab_size - len(SPECIAL_TEXTS), self.vocab_size))

    @property
    def byte_ids(self) -> range:
        """The 256 ids after the known strings."""
        return range(len(self.known), len(self.known) + 256)

    def token_bytes(self, token: int) -> bytes:
        """The string's bytes, the byte itself, or nothing."""
        if token < len(self.known):
            return self.known[token].encode()
        return bytes([token - len(self.known)]) if token in self.byte_ids else b""


class ByteTokenizer(ListTokenizer):
    """No string is known: one id per UTF-8 byte, then the four special tokens, 260 ids.

    >>> ByteTokenizer().encode("hé")
    [104, 195, 169]
    """

    kind = "byte"
    vocab_size = GIVEN
    specials = Specials(256, 257, 258, 259)

    def __init__(self) -> None:
        super().__init__(())

    def encode(self, text: str) -> list[int]:
        """The bytes of the text."""
        return list(utf8(text))

    def encode_arrays(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The bytes of all texts one after another, and how many each text has, (n,)."""
        encoded = list(map(utf8, texts))
        ids = np.frombuffer(b"".join(encoded), np.uint8).astype(np.int32)
        return ids, np.fromiter(map(len, encoded), np.int64, len(encoded))

    def files(self) -> dict[str, bytes]:
        """Nothing is trained."""
        return {}


def pack_tokens(known: Sequence[str]) -> bytes:
    """The list as the founding documents' vocabulary file: both directions, plain UTF-8."""
    both = {"stoi": {string: token for token, string in enumerate(known)}, "itos": list(known)}
    return json.dumps(both, ensure_ascii=False, indent=1).encode() + b"\n"


def unpack_tokens(content: bytes) -> list[str]:
    """The list of such a file. Raises TokenizerError where it is none, or names a string twice."""
    try:
        both = json.loads(content)
        known = both["itos"]
        utf8("".join(known))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TokenizerError(f"the vocabulary cannot be read: {error!r}") from None
    ids = {text: token for token, text in enumerate(known)}
    if not all(known) or len(ids) != len(known) or both.get("stoi") != ids:
        raise TokenizerError("the vocabulary's itos and stoi are not one list of different strings")
    return list(known)
