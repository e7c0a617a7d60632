"""Clean text: what every source gets, and what data.cleaning adds for pretraining.

Every text loses byte order marks and control characters, and its line ends become \\n. Tabs are
kept; a form feed ends a line.
"""

import codecs
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from nielsgpt.config.data_settings import CleaningSettings
from nielsgpt.conversation import Document
from nielsgpt.errors import DataError

log = logging.getLogger("nielsgpt")
UNCOMMON = re.compile(r"""[^A-Za-z0-9 \t\n.,;:!?"'()\-\[\]]""")
LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c]")
BOM = "\ufeff"  # also inside concatenated files
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
CONTROL_BYTES = bytes(byte for byte in range(128) if CONTROLS.match(chr(byte)))
BLOCK_BYTES = 2**20
BOMS_REMOVED = "byte order marks removed"
LINE_ENDS_CHANGED = "line ends of other systems made \\n"
CONTROLS_REMOVED = "control characters taken out"


def clean_text(text: str, settings: CleaningSettings) -> str:
    """Clean the text; unchanged if nothing is on.

    sanitize=ascii decomposes characters (NFKD) and drops what is not ASCII; basic also replaces all
    but letters, digits, space, tab, newline and . , ; : ! ? " ' ( ) - [ ] by a space.
    collapse_whitespace leaves single spaces, none around lines, and at most one blank line.
    Line ends become \\n; lowercase is applied last.

    >>> clean_text("Café *\\r\\nOlé", CleaningSettings(sanitize="basic", lowercase=True))
    'cafe  \\nole'
    """
    if not is_on(settings):
        return text
    text = SANITIZE[settings.sanitize](text.replace("\r\n", "\n").replace("\r", "\n"))
    if settings.collapse_whitespace:
        text = _collapse_space(text)
    return text.lower() if settings.lowercase else text


def is_on(settings: CleaningSettings) -> bool:
    """Whether the settings can change any text."""
    return settings != CleaningSettings()


def clean_documents(
    documents: Iterable[Document], settings: CleaningSettings, source: str
) -> Iterator[Document]:
    """Clean the documents; those that become blank are left out and counted in the log.

    Raises DataError if all become blank.
    """
    kept = blank = 0
    for document in documents:
        text = clean_text(document.text, settings)
        if text.strip():
            kept += 1
            yield replace(document, text=text)
        else:
            blank += 1
    if blank and not kept:
        raise DataError(
            f"data.cleaning leaves nothing of the {blank:,} documents of source {source}; "
            f"sanitize={settings.sanitize} does not fit their script: "
            "set data.cleaning.sanitize=none"
        )
    if blank:
        log.info("source %s: %d documents left out because cleaning emptied them", source, blank)


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


def _basic(text: str) -> str:
    return UNCOMMON.sub(" ", _ascii(text))


def _collapse_space(text: str) -> str:
    lines = [line.strip() for line in re.sub(r"[ \t]+", " ", text).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


SANITIZE: dict[str, Callable[[str], str]] = {"none": str, "ascii": _ascii, "basic": _basic}


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
