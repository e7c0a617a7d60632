"""Text without what programs put into it: byte order marks, line ends of other systems, control
characters. Tabs and form feeds mean something; a form feed ends a line."""

import codecs
import re
from collections import Counter
from pathlib import Path

LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c]")
MARK = "\ufeff"  # also within a text that was put together from several files
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
CONTROL_BYTES = bytes(byte for byte in range(128) if CONTROLS.match(chr(byte)))
BLOCK_BYTES = 2**20
MARKS = "byte order marks taken off"
ENDS = "line ends of other systems made \\n"
TAKEN_OUT = "control characters taken out"


def plain(text: str) -> str:
    """The text with \\n at the end of each line, without byte order marks and control characters.

    >>> plain("one\\r\\ntwo\\rthree\\x00")
    'one\\ntwo\\nthree'
    """
    return CONTROLS.sub("", LINE_ENDS.sub("\n", text.replace(MARK, "")))


def count_changes(files: list[Path]) -> Counter[str]:
    """What reading these files takes off or replaces, in words, and how often."""
    counts: Counter[str] = Counter()
    for file in files:
        with file.open("rb") as source:
            while data := source.read(BLOCK_BYTES):
                counts[MARKS] += data.count(codecs.BOM_UTF8)
                counts[ENDS] += data.count(b"\r")
                counts[TAKEN_OUT] += len(data) - len(data.translate(None, CONTROL_BYTES))
    return +counts
