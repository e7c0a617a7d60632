"""The contract of every tokenizer.

`decode(encode(text)) == text` for all text that UTF-8 can spell; the byte lengths of the ids of any
text add up to its UTF-8 bytes; no text encodes to a special token. A folder holds `meta.json`
(kind, vocab_size, specials, fingerprint) and the tokenizer's own files.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nielsgpt.conversation import Specials
from nielsgpt.errors import TokenizerError


class Tokenizer(ABC):
    """Ids of text, and the four ids that no text can spell."""

    kind: str

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """The number of ids, special tokens included."""

    @property
    @abstractmethod
    def specials(self) -> Specials:
        """The ids of the four special tokens."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of the text. Raises TokenizerError for a lone surrogate."""

    @abstractmethod
    def token_bytes(self, token: int) -> bytes:
        """The bytes that an id stands for; none for a special token."""

    @abstractmethod
    def files(self) -> dict[str, bytes]:
        """The trained state by file name: what a folder or a checkpoint keeps."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text."""
        return [self.encode(text) for text in texts]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of the ids, special tokens left out. Raises TokenizerError for a foreign id."""
        try:
            return b"".join(self._table[token] for token in ids)
        except IndexError:
            raise TokenizerError(f"an id is not in the vocabulary of {self.vocab_size}") from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; bytes that are no UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    @cached_property
    def _table(self) -> list[bytes]:
        return [self.token_bytes(token) for token in range(self.vocab_size)]

    @cached_property
    def byte_lengths(self) -> NDArray[np.int64]:
        """(V,) the number of bytes that each id stands for."""
        return np.array([len(piece) for piece in self._table], dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that name the kind and its trained state."""
        digest = hashlib.sha256(self.kind.encode())
        for name, content in sorted(self.files().items()):
            digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
        return digest.hexdigest()[:16]


def utf8(text: str) -> bytes:
    """The UTF-8 bytes of the text. Raises TokenizerError naming a lone surrogate's place."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TokenizerError(
            f"character {error.start} of the text is the lone surrogate "
            f"U+{ord(text[error.start]):04X}, which no UTF-8 can spell; remove it"
        ) from None
