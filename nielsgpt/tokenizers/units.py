"""Tokenizers whose units are given, not trained: bytes."""

from nielsgpt.conversation import SPECIAL_TEXTS, Specials
from nielsgpt.tokenizers.base import Tokenizer, utf8


class ByteTokenizer(Tokenizer):
    """One id per UTF-8 byte, then the four special tokens: 260 ids.

    >>> ByteTokenizer().encode("hé")
    [104, 195, 169]
    """

    kind = "byte"
    vocab_size = 256 + len(SPECIAL_TEXTS)
    specials = Specials(256, 257, 258, 259)

    def encode(self, text: str) -> list[int]:
        """The bytes of the text."""
        return list(utf8(text))

    def token_bytes(self, token: int) -> bytes:
        """The byte itself."""
        return bytes([token]) if token < 256 else b""

    def files(self) -> dict[str, bytes]:
        """Nothing is trained."""
        return {}
