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
RARE = ("cp8", "cp7", "cp5", "cp10", "hp", "iso8859_10")
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
    """The bytes as text: by byte order mark, as UTF-8, else as the likeliest encoding.

    Raises Unreadable for what is no text.
    """
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return repair(data.decode(encoding, "replace"))
    if b"\0" in data[:SAMPLE_BYTES]:
        encoding = "utf-16-le" if _every_other_is_zero(data) else ""
        if not encoding:
            raise Unreadable("it is binary, not text")
        return repair(data.decode(encoding, "replace"))
    try:
        return repair(data.decode("utf-8"))
    except UnicodeDecodeError:
        return repair(data.decode(guess(data), "replace"))


def guess(data: bytes) -> str:
    """The likeliest encoding of bytes that are not UTF-8."""
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
    best = from_bytes(data[:SAMPLE_BYTES]).best()
    if best is None:
        return "cp1252"
    doubted = best.encoding.startswith((*RARE, *(LOTTERY if len(data) < LITTLE_BYTES else ())))
    return "cp1252" if is_western and doubted else best.encoding


def repair(text: str) -> str:
    """One kind of line end, no control characters or soft hyphens, mojibake decoded again."""
    if MOJIBAKE.search(text):
        text = ftfy.fix_text(text, FIXES)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n\n")
    text = re.sub("[\x00-\x08\x0b\x0e-\x1f\x7f\u00ad\u200b\u2060\ufeff\ufffe\uffff]", "", text)
    text = re.sub("[\uf06e\uf076\uf0a7\uf0b7\uf0d8]", "\u2022", text)  # of symbol fonts
    text = text.replace("\u2028", "\n").replace("\u2029", "\n\n").replace("\u00a0", " ")
    return re.sub("[\ud800-\udfff]", "", text)


def _every_other_is_zero(data: bytes) -> bool:
    sample = data[:4096]
    return sample[1::2].count(0) > 0.8 * len(sample[1::2]) and 0 not in sample[::2]
