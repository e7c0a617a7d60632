"""Private data in text: found by its form, shown masked, replaced where that is asked for."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PrivateKind:
    """A kind of private data: its pattern, and what a match has to be besides."""

    name: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = bool


def luhn(number: str) -> bool:
    """Whether the digits are those of a payment card: their checksum is right."""
    digits = [int(digit) for digit in number if digit.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [2 * d - 9 * (d > 4) if place % 2 else d for place, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def is_phone(number: str) -> bool:
    """Whether a group of digits is written as telephone numbers are."""
    digits = sum(map(str.isdigit, number))
    is_date = re.fullmatch(r"\d{4}[ .-]\d{1,2}[ .-]\d{1,2}|\d{1,2}[ .-]\d{1,2}[ .-]\d{4}", number)
    opens = number.startswith(("+", "(", "0")) or re.fullmatch(r"\d{3}[ .-]\d{3}[ .-]\d{4}", number)
    return 8 <= digits <= 15 and bool(opens) and not is_date


STREET = (
    r"Street|St\.|Avenue|Ave\.?|Road|Rd\.?|Lane|Ln\.?|Drive|Dr\.|Boulevard|Blvd\.?|Court|Ct\."
    r"|Square|Terrace"
)
KINDS = (
    PrivateKind(
        "e-mail", re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,5}[A-Za-z]{2,24}\b")
    ),
    PrivateKind(
        "key",
        re.compile(
            r"\b(?:sk-[\w-]{20,}|gh[pousr]_\w{30,}|github_pat_\w{30,}|hf_[A-Za-z0-9]{30,}"
            r"|AKIA[0-9A-Z]{16}|AIza[\w-]{35}|xox[abprs]-[\w-]{10,}|glpat-[\w-]{20}"
            r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+)"
            r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]{0,8000}?-----END [A-Z ]*PRIVATE KEY-----"
        ),
    ),
    PrivateKind("card", re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])"), luhn),
    PrivateKind("IBAN", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")),
    PrivateKind(
        "phone",
        re.compile(
            r"(?<![\w.+/-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,5}\)[ .-]?)?\d{2,5}"
            r"(?:[ ./-]\d{2,7}){1,4}(?![\w-])"
            r"|(?<![\w.])(?:\+\d{8,15}|\(\d{2,5}\)[ .-]?\d{5,9})\b"
        ),
        is_phone,
    ),
    PrivateKind(
        "address",
        re.compile(
            rf"\b\d{{1,5}}[A-Za-z]? (?:[A-Z][\w'.]+ ){{1,3}}(?:{STREET})(?!\w)"
            r"|\b[A-Z\u00c4\u00d6\u00dc][\w\u00e4\u00f6\u00fc\u00df-]{2,}"
            r"(?:stra\u00dfe|strasse|str\.|weg|gasse|allee|platz) \d{1,4}[a-z]?\b"
        ),
    ),
)
MOST_EXAMPLES = 3


def find(text: str) -> Iterator[tuple[PrivateKind, str]]:
    """The private data in the text, kind by kind; nothing is found twice."""
    for kind in KINDS:
        found = [match[0] for match in kind.pattern.finditer(text) if kind.holds(match[0])]
        yield from ((kind, value) for value in found)
        text = _replace(text, kind) if found else text


def redact(text: str) -> str:
    """The text with [e-mail], [phone] and so on instead of what is private.

    >>> redact("Write to ada@example.org or call +44 20 7946 0958.")
    'Write to [e-mail] or call [phone].'
    """
    for kind in KINDS:
        text = _replace(text, kind)
    return text


def mask(value: str) -> str:
    """The value with stars for all letters and digits but its first two."""
    return value[:2] + re.sub(r"\w", "*", value[2:40])


def note(text: str, findings: dict[str, Any]) -> None:
    """Count what is private in the text, and keep a few masked examples of each kind."""
    for kind, value in find(text):
        of_kind = findings.setdefault(kind.name, {"count": 0, "examples": []})
        of_kind["count"] += 1
        if len(of_kind["examples"]) < MOST_EXAMPLES and mask(value) not in of_kind["examples"]:
            of_kind["examples"].append(mask(value))


def _replace(text: str, kind: PrivateKind) -> str:
    return kind.pattern.sub(lambda m: f"[{kind.name}]" if kind.holds(m[0]) else m[0], text)
