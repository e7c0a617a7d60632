"""The byte tokenizer, and the base class of tokenizers with a list of strings as vocabulary."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nielsgpt.conversation import SPECIAL_TEXTS, Specials
from nielsgpt.errors import TokenizerError
from nielsgpt.tokenizers.base import Tokenizer, encode_utf8

FIXED_IDS = 256 + len(SPECIAL_TEXTS)


class ListTokenizer(Tokenizer):
    """Ids: the strings of the vocabulary in order, the 256 bytes, the special tokens.

    Text outside the vocabulary is encoded as bytes.
    """

    vocabulary: Sequence[str] = ()

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.vocabulary = list(vocabulary)

    @property
    def vocab_size(self) -> int:
        """The number of strings, bytes and special tokens."""
        return len(self.vocabulary) + FIXED_IDS

    @property
    def specials(self) -> Specials:
        """The last four ids."""
        return Specials(*range(self.vocab_size - len(SPECIAL_TEXTS), self.vocab_size))

    @property
    def byte_ids(self) -> range:
        """The 256 ids after the strings."""
        return range(len(self.vocabulary), len(self.vocabulary) + 256)

    def token_bytes(self, token: int) -> bytes:
        """The bytes of a string, a single byte, or nothing for a special token."""
        if token < len(self.vocabulary):
            return self.vocabulary[token].encode()
        return bytes([token - len(self.vocabulary)]) if token in self.byte_ids else b""


class ByteTokenizer(ListTokenizer):
    """One id per UTF-8 byte, then the four special tokens: 260 ids.

    >>> ByteTokenizer().encode("hé")
    [104, 195, 169]
    """

    kind = "byte"
    vocab_size = FIXED_IDS
    specials = Specials(256, 257, 258, 259)

    def __init__(self) -> None:
        super().__init__(())

    def encode(self, text: str) -> list[int]:
        """The bytes of the text."""
        return list(encode_utf8(text))

    def encode_arrays(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The concatenated bytes of all texts, (N,), and the number of each text's bytes, (n,)."""
        encoded = list(map(encode_utf8, texts))
        ids = np.frombuffer(b"".join(encoded), np.uint8).astype(np.int32)
        return ids, np.fromiter(map(len, encoded), np.int64, len(encoded))

    def files(self) -> dict[str, bytes]:
        """No files: nothing is trained."""
        return {}


def pack_tokens(vocabulary: Sequence[str]) -> bytes:
    """The vocabulary file: a JSON object with `stoi` and `itos`, in UTF-8."""
    tables = {
        "stoi": {string: token for token, string in enumerate(vocabulary)},
        "itos": list(vocabulary),
    }
    return json.dumps(tables, ensure_ascii=False, indent=1).encode() + b"\n"


def unpack_tokens(content: bytes) -> list[str]:
    """Parse a vocabulary file. Raises TokenizerError if it is damaged or repeats a string."""
    try:
        tables = json.loads(content)
        vocabulary = tables["itos"]
        encode_utf8("".join(vocabulary))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TokenizerError(f"the vocabulary cannot be read: {error!r}") from None
    ids = {text: token for token, text in enumerate(vocabulary)}
    if not all(vocabulary) or len(ids) != len(vocabulary) or tables.get("stoi") != ids:
        raise TokenizerError(
            "the vocabulary's itos and stoi are not the same list of distinct strings"
        )
    return list(vocabulary)
