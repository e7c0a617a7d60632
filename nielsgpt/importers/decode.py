"""Bytes of any encoding as text, with the damage of earlier wrong decodings repaired."""

import codecs
import re
from pathlib import Path

import ftfy
from charset_normalizer import from_bytes

from nielsgpt.importers.content import Unreadable

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
JAPANESE = ("cp932", "euc_jp")  # known by their syllables, which fill half of a text
SAMPLE_BYTES, LITTLE_BYTES = 256 * 1024, 1000
LOTTERY = ("cp125", "iso8859")  # on little text the guess among these is a lottery
RARE = ("cp8", "cp7", "cp5", "cp10", "hp", "mac", "iso8859_1", "iso8859_3", "iso8859_4")
FIXES = ftfy.TextFixerConfig(
    unescape_html=False,
    uncurl_quotes=False,
    fix_latin_ligatures=True,
    fix_character_width=False,
    max_decode_length=100_000,
)
MOJIBAKE = re.compile("[\u00c2\u00c3\u00e2][\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2026\u2122]")


def read_text(path: Path) -> str:
    """The file's text. Raises Unreadable where it is binary."""
    return decode(path.read_bytes())


def decode(data: bytes) -> str:
    """The bytes as text: by byte order mark, as UTF-8, else in the most likely encoding.

    Raises Unreadable for what is no text.
    """
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return repair(data.decode(encoding, "replace"))
    if b"\0" in data[:SAMPLE_BYTES]:
        by_first_zero = {1: "utf-16-le", 0: "utf-16-be"}
        encoding = next((by_first_zero[n] for n in (1, 0) if _every_other_is_zero(data, n)), "")
        if not encoding:
            raise Unreadable("it is binary, not text")
        return repair(data.decode(encoding, "replace"))
    try:
        return repair(data.decode("utf-8"))
    except UnicodeDecodeError:
        return repair(data.decode(guess(data), "replace"))


def guess(data: bytes) -> str:
    """The most likely encoding of bytes that are not UTF-8."""
    bad = sum(byte >= 0x80 for byte in data[:SAMPLE_BYTES])
    for encoding in JAPANESE:
        kana = re.findall("[\u3041-\u30ff]", data[:SAMPLE_BYTES].decode(encoding, "ignore"))
        if len(kana) > 0.15 * bad:
            return encoding
    try:
        data.decode("cp1252")
        is_western = bad < 0.12 * min(len(data), SAMPLE_BYTES)
    except UnicodeDecodeError:
        is_western = False
    matches = list(from_bytes(data[:SAMPLE_BYTES]))
    usual = [match for match in matches if not match.encoding.startswith(RARE)]
    best = next(iter([*usual, *matches]), None)
    if best is None:
        return "cp1252"
    doubted = best.encoding.startswith((*RARE, *(LOTTERY if len(data) < LITTLE_BYTES else ())))
    if is_western and doubted:
        return "cp1252"
    has_windows_marks = any(0x80 <= byte < 0xA0 for byte in data[:SAMPLE_BYTES])
    return "iso8859_2" if best.encoding == "cp1250" and not has_windows_marks else best.encoding


def repair(text: str) -> str:
    """One kind of line end, no control characters or soft hyphens, mojibake decoded again."""
    if MOJIBAKE.search(text):
        text = ftfy.fix_text(text, FIXES)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n\n")
    text = re.sub("[\x00-\x08\x0b\x0e-\x1f\x7f\u00ad\u200b\u2060\ufeff\ufffe\uffff]", "", text)
    text = re.sub("[\uf06e\uf076\uf0a7\uf0b7\uf0d8]", "\u2022", text)  # of symbol fonts
    text = text.replace("\u2028", "\n").replace("\u2029", "\n\n").replace("\u00a0", " ")
    return re.sub("[\ud800-\udfff]", "", text)


def _every_other_is_zero(data: bytes, first: int) -> bool:
    sample = data[:4096]
    zeros = sample[first::2]
    return zeros.count(0) > 0.8 * len(zeros) and 0 not in sample[1 - first :: 2]
