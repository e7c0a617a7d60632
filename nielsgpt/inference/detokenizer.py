"""Incremental detokenization: whole characters only, and nothing of a stop string.

Special tokens are not text. Up to 3 bytes of an unfinished character wait for the rest, and so does
text that could be the beginning of a stop string. With the stop string "\\nUser:" and the pieces
"Hi", "\\nUs", "er:":

    push -> "Hi"      push -> "" ("\\nUs" waits)      push -> "" and `stopped`
"""

import codecs
from collections.abc import Sequence

from nielsgpt.tokenizers.base import Tokenizer


class Detokenizer:
    """The text of one reply, piece by piece; `stopped` is true once a stop string is complete."""

    def __init__(self, tokenizer: Tokenizer, stop_strings: Sequence[str] = ()) -> None:
        self.tokens = 0
        self.stopped = False
        self.tokenizer = tokenizer
        self._stop_strings = stop_strings
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._waiting = ""
        self._shown: list[str] = []

    @property
    def shown(self) -> str:
        """All text released so far."""
        return "".join(self._shown)

    def push(self, token: int) -> str:
        """Add an id; returns the text that it releases, often ""."""
        self.tokens += 1
        return self._release(self._decoder.decode(self.tokenizer.decode_bytes([token])))

    def flush(self) -> str:
        """Release all that waits, at the end; an unfinished character becomes U+FFFD."""
        released = self._release(self._decoder.decode(b"", final=True))
        waiting, self._waiting = self._waiting, ""
        self._shown.append(waiting)
        return released + waiting

    def _release(self, new: str) -> str:
        if self.stopped:
            return ""
        text = self._waiting + new
        stops = [(text.find(stop) + len(stop), stop) for stop in self._stop_strings if stop in text]
        if stops:  # the first to be complete, the longest of several, however text is cut in pieces
            self.stopped = True
            end, stop = min(stops, key=lambda pair: (pair[0], -len(pair[1])))
            cut = end - len(stop)
            self._waiting = ""
        else:
            overlaps = (_overlap(text, stop) for stop in self._stop_strings)
            cut = len(text) - max(overlaps, default=0)
            self._waiting = text[cut:]
        self._shown.append(text[:cut])
        return text[:cut]


def _overlap(text: str, stop: str) -> int:
    """The number of last characters of the text that could begin the stop string."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
