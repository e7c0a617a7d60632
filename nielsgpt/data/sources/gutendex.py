"""The catalogue of Project Gutenberg as Gutendex serves it: pages of records, and which to keep.

GET /books?author_year_end=500&languages=en
{"next": "https://.../books/?page=2&...", "results": [{"id": 1497, "title": "The Republic",
 "authors": [{"name": "Plato", "birth_year": -428, "death_year": -348}], "languages": ["en"],
 "formats": {"text/plain; charset=utf-8": "https://..."}, "download_count": 9000, ...}]}
"""

import json
import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode, urlunsplit

from pydantic import BaseModel, Field, ValidationError

from nielsgpt.config.source_settings import AncientSettings
from nielsgpt.data.sources.http import Patience, address, fetch
from nielsgpt.errors import DataError

log = logging.getLogger("nielsgpt")
PAGE_BYTES = 16 * 2**20
MOST_PAGES = 5000
FORMATS = ("text/plain; charset=utf-8", "text/plain; charset=us-ascii", "text/plain")
ARTICLES = ("the", "a", "an")


class Person(BaseModel):
    """An author or translator; years before Christ are negative."""

    name: str
    birth_year: int | None = None
    death_year: int | None = None


class CatalogEntry(BaseModel):
    """What the catalogue says of one book."""

    id: int = Field(ge=1)
    title: str
    authors: list[Person] = []
    translators: list[Person] = []
    languages: list[str] = []
    subjects: list[str] = []
    bookshelves: list[str] = []
    formats: dict[str, str] = {}
    download_count: int = 0

    @property
    def text_url(self) -> str | None:
        """Where its plain text lies: UTF-8 before ASCII before any other, never an archive."""
        plain = {
            kind.lower(): url for kind, url in self.formats.items() if not url.endswith(".zip")
        }
        for wanted in FORMATS:
            for kind in sorted(plain):
                if kind.startswith(wanted):
                    return plain[kind]
        return None


def books(settings: AncientSettings, patience: Patience, instead: str) -> list[CatalogEntry]:
    """The books to have, the most downloaded first: old enough, as plain text, one translation of
    each. Raises DataError with `instead` where the catalogue cannot be had."""
    wanted = [
        record
        for record in records(settings, patience, instead)
        if record.text_url and not _later(record, settings.author_year_end)
    ]
    return best_translations(wanted)


def records(settings: AncientSettings, patience: Patience, instead: str) -> Iterator[CatalogEntry]:
    """Every record that the catalogue has for these settings, `delay_seconds` between two pages."""
    asked = {"author_year_end": settings.author_year_end, "languages": settings.languages}
    url: str | None = f"{settings.url}?{urlencode(asked)}"
    seen, strange = set[str](), 0
    while url:
        if url in seen or len(seen) >= MOST_PAGES:
            raise DataError(
                f"the catalogue at {settings.url} leads in a circle at {url}; {instead}"
            )
        if seen:
            patience.sleep(settings.delay_seconds)
        seen.add(url)
        page = _page(url, patience, instead)
        for entry in page["results"]:
            try:
                yield CatalogEntry.model_validate(entry)
            except ValidationError:
                strange += 1
        url = _next(page.get("next"), settings.url, instead)
    if strange:
        log.warning("%d records of the catalogue are not as they should be; left out", strange)


def best_translations(found: Iterable[CatalogEntry]) -> list[CatalogEntry]:
    """Of the records with the same authors and title, the most downloaded; those come first."""
    chosen: dict[tuple[tuple[str, ...], str], CatalogEntry] = {}
    for record in sorted(found, key=lambda record: (-record.download_count, record.id)):
        authors = tuple(sorted(person.name for person in record.authors))
        chosen.setdefault((authors, normalize_title(record.title)), record)
    return list(chosen.values())


def normalize_title(title: str) -> str:
    """The title in lower case, without accents, marks and a leading article.

    >>> normalised("The Æneid, of Virgil")
    'æneid of virgil'
    """
    plain = unicodedata.normalize("NFKD", title.casefold())
    words = re.findall(r"\w+", "".join(mark for mark in plain if not unicodedata.combining(mark)))
    return " ".join(words[1:] if len(words) > 1 and words[0] in ARTICLES else words)


def _later(record: CatalogEntry, year: int) -> bool:
    """Whether an author died after the year or, where that is not known, was born after it."""
    for person in record.authors:
        known = person.birth_year if person.death_year is None else person.death_year
        if known is not None and known > year:
            return True
    return False


def _page(url: str, patience: Patience, instead: str) -> dict[str, Any]:
    content = fetch(url, patience, PAGE_BYTES, instead)
    try:
        page = json.loads(content)
    except (ValueError, RecursionError):
        page = None
    if not isinstance(page, dict) or not isinstance(page.get("results"), list):
        raise DataError(f"{url} is no page of a Gutendex catalogue; {instead}")
    return page


def _next(url: object, base: str, instead: str) -> str | None:
    """The next page's address, on the catalogue's own server and in its own scheme."""
    if not url:
        return None
    home, there = address(base, instead), address(str(url), instead)
    if there.hostname != home.hostname:
        raise DataError(f"the catalogue at {base} leads away to {url}; {instead}")
    return urlunsplit((home.scheme, home.netloc, there.path, there.query, ""))
