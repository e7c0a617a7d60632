"""The interface of every tokenizer, and its invariants.

`decode(encode(text)) == text` for all text that UTF-8 can encode; the byte lengths of the ids of a
text add up to its length in UTF-8; no text encodes to a special token. A folder holds `meta.json`
(kind, vocab_size, specials, fingerprint) and the tokenizer's own files.
"""

import hashlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nielsgpt.conversation import Specials
from nielsgpt.errors import TokenizerError


class Tokenizer(ABC):
    """Encodes text to ids and decodes ids to text; text never encodes to a special token."""

    kind: str
    library = "nielsgpt"  # the package that trains and encodes it

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
        """The bytes that an id decodes to; empty for a special token."""

    @property
    @abstractmethod
    def byte_ids(self) -> Collection[int]:
        """The ids of single bytes, which encode whatever is not in the vocabulary."""

    @abstractmethod
    def files(self) -> dict[str, bytes]:
        """The trained state by file name, as saved in a folder or a checkpoint."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text."""
        return [self.encode(text) for text in texts]

    def encode_arrays(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The concatenated ids of all texts, (N,), and the number of ids of each text, (n,)."""
        encoded = self.encode_batch(texts)
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        ids = itertools.chain.from_iterable(encoded)
        return np.fromiter(ids, np.int32, int(lengths.sum())), lengths

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of the ids, without special tokens. Raises TokenizerError for an unknown id."""
        try:
            return b"".join(map(self._table.__getitem__, ids))
        except KeyError as error:
            raise TokenizerError(
                f"the id {error} is not in the vocabulary of {self.vocab_size}"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; bytes that are not valid UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    @cached_property
    def _table(self) -> dict[int, bytes]:
        return {token: self.token_bytes(token) for token in range(self.vocab_size)}

    @cached_property
    def byte_lengths(self) -> NDArray[np.int64]:
        """(V,) the number of bytes that each id decodes to."""
        return np.array([len(piece) for piece in self._table.values()], dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that identify the kind and its trained state."""
        digest = hashlib.sha256(self.kind.encode())
        for name, content in sorted(self.files().items()):
            digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
        return digest.hexdigest()[:16]


def vocab_size_error(vocab_size: int, available: int) -> TokenizerError:
    """The error for a corpus with enough text for only `available` ids."""
    return TokenizerError(
        f"tokenizer.vocab_size {vocab_size} is too large for this corpus, which has enough for "
        f"{available}; use --set tokenizer.vocab_size={available} or more text"
    )


def encode_utf8(text: str) -> bytes:
    """The UTF-8 bytes of the text. Raises TokenizerError at a lone surrogate."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TokenizerError(
            f"character {error.start} of the text is the lone surrogate "
            f"U+{ord(text[error.start]):04X}, which UTF-8 cannot encode; remove it"
        ) from None
