"""Tokens as text in log-probabilities: the text of each, and its offset."""

import codecs

from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.tokenizers.base import Tokenizer


def format_token(tokenizer: Tokenizer, token: int) -> str:
    """An id as text; incomplete characters as bytes:\\xe2\\x96, like the OpenAI API."""
    specials = tokenizer.specials
    special_ids = (*specials.roles, specials.end)
    if token in special_ids:
        return SPECIAL_TEXTS[special_ids.index(token)]
    token_bytes = tokenizer.decode_bytes([token])
    try:
        return token_bytes.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token_bytes)


class TextOffsets:
    """The number of whole characters before each token of a text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def advance(self, token: int) -> int:
        """Move past the next token; returns its offset."""
        offset = self._offset
        self._offset += len(self._decoder.decode(self._tokenizer.decode_bytes([token])))
        return offset
