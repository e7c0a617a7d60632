"""Ids as text in the log-probabilities: how each is spelled, and where it begins."""

import codecs

from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.tokenizers.base import Tokenizer


def token_text(tokenizer: Tokenizer, token: int) -> str:
    """An id as text; bytes that are no whole characters as bytes:\\xe2\\x96."""
    specials = tokenizer.specials
    four = (*specials.roles, specials.end)
    if token in four:
        return SPECIAL_TEXTS[four.index(token)]
    spelling = tokenizer.decode_bytes([token])
    try:
        return spelling.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelling)


class TextOffsets:
    """How many whole characters a text has before each of its tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._count = tokenizer, 0
        self._characters = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def before(self, token: int) -> int:
        """The place of the next token, which is this one."""
        place = self._count
        self._count += len(self._characters.decode(self._tokenizer.decode_bytes([token])))
        return place
