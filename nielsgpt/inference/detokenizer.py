"""From ids to text as it may be shown: whole characters, and nothing of a stop string.

Special tokens are no text. Bytes of an unfinished character (at most 3) wait for the rest; so does
text that could be the beginning of a stop string. With the stop string "\\nUser:" and the pieces
"Hi", "\\nUs", "er:":

    push -> "Hi"      push -> "" ("\\nUs" waits)      push -> "" and `stopped`
"""

import codecs
from collections.abc import Sequence

from nielsgpt.tokenizers.base import Tokenizer


class Detokenizer:
    """The text of one reply, piece by piece; `stopped` once a stop string has come."""

    def __init__(self, tokenizer: Tokenizer, stop_strings: Sequence[str] = ()) -> None:
        self.tokens = 0
        self.stopped = False
        self.tokenizer, self._stop_strings = tokenizer, stop_strings
        self._characters = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._waiting = ""
        self._shown: list[str] = []

    @property
    def shown(self) -> str:
        """All text let out so far."""
        return "".join(self._shown)

    def push(self, token: int) -> str:
        """The text that one more id lets out, often ""."""
        self.tokens += 1
        return self._let_out(self._characters.decode(self.tokenizer.decode_bytes([token])))

    def flush(self) -> str:
        """At the end: all that waits; an unfinished character becomes U+FFFD."""
        released = self._let_out(self._characters.decode(b"", final=True))
        rest, self._waiting = self._waiting, ""
        self._shown.append(rest)
        return released + rest

    def _let_out(self, new: str) -> str:
        if self.stopped:
            return ""
        text = self._waiting + new
        found = [(text.find(stop) + len(stop), stop) for stop in self._stop_strings if stop in text]
        if found:  # the one complete first, the longest of several: pieces do not matter
            self.stopped = True
            end, stop = min(found, key=lambda pair: (pair[0], -len(pair[1])))
            cut, self._waiting = end - len(stop), ""
        else:
            cut = len(text) - max(
                (_starts_of(text, stop) for stop in self._stop_strings), default=0
            )
            self._waiting = text[cut:]
        self._shown.append(text[:cut])
        return text[:cut]


def _starts_of(text: str, stop: str) -> int:
    """How many last characters of the text are the first ones of an unfinished stop string."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
