"""Normalize text: remove byte order marks and control characters, unify line ends.

Tabs are kept; a form feed ends a line.
"""

import codecs
import re
from collections import Counter
from pathlib import Path

LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c]")
BOM = "\ufeff"  # also inside concatenated files
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
CONTROL_BYTES = bytes(byte for byte in range(128) if CONTROLS.match(chr(byte)))
BLOCK_BYTES = 2**20
BOMS_REMOVED = "byte order marks removed"
LINE_ENDS_CHANGED = "line ends of other systems made \\n"
CONTROLS_REMOVED = "control characters taken out"


def normalize_text(text: str) -> str:
    """The text with \\n line ends, without byte order marks and control characters.

    >>> normalize_text("one\\r\\ntwo\\rthree\\x00")
    'one\\ntwo\\nthree'
    """
    return CONTROLS.sub("", LINE_ENDS.sub("\n", text.replace(BOM, "")))


def count_changes(files: list[Path]) -> Counter[str]:
    """Count what normalization removes or replaces in these files, by description."""
    counts: Counter[str] = Counter()
    for file in files:
        with file.open("rb") as source:
            while data := source.read(BLOCK_BYTES):
                counts[BOMS_REMOVED] += data.count(codecs.BOM_UTF8)
                counts[LINE_ENDS_CHANGED] += data.count(b"\r")
                counts[CONTROLS_REMOVED] += len(data) - len(data.translate(None, CONTROL_BYTES))
    return +counts
