"""The catalog of Project Gutenberg, as served by Gutendex: fetch its records and select books.

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
from nielsgpt.data.sources.http import RetryPolicy, fetch, parse_url
from nielsgpt.errors import DataError

log = logging.getLogger("nielsgpt")
PAGE_BYTES = 16 * 2**20
MAX_PAGES = 5000
FORMATS = ("text/plain; charset=utf-8", "text/plain; charset=us-ascii", "text/plain")
ARTICLES = ("the", "a", "an")


class Person(BaseModel):
    """An author or translator; years BC are negative."""

    name: str
    birth_year: int | None = None
    death_year: int | None = None


class CatalogEntry(BaseModel):
    """The catalog's record of a book."""

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
        """The URL of the plain text: UTF-8, else ASCII, else any other encoding; never a zip."""
        plain = {
            kind.lower(): url for kind, url in self.formats.items() if not url.endswith(".zip")
        }
        for wanted in FORMATS:
            for kind in sorted(plain):
                if kind.startswith(wanted):
                    return plain[kind]
        return None


def select_books(settings: AncientSettings, policy: RetryPolicy, remedy: str) -> list[CatalogEntry]:
    """The books that are old enough and have a plain text, one translation of each.

    The most downloaded come first. Raises DataError with `remedy` if the catalog is unreachable.
    """
    wanted = [
        record
        for record in fetch_records(settings, policy, remedy)
        if record.text_url and not _is_later(record, settings.author_year_end)
    ]
    return pick_translations(wanted)


def fetch_records(
    settings: AncientSettings, policy: RetryPolicy, remedy: str
) -> Iterator[CatalogEntry]:
    """All records for these settings, waiting `delay_seconds` between pages."""
    query = {"author_year_end": settings.author_year_end, "languages": settings.languages}
    url: str | None = f"{settings.url}?{urlencode(query)}"
    seen, invalid = set[str](), 0
    while url:
        if url in seen or len(seen) >= MAX_PAGES:
            raise DataError(f"the catalog at {settings.url} has a circular link to {url}; {remedy}")
        if seen:
            policy.sleep(settings.delay_seconds)
        seen.add(url)
        page = _fetch_page(url, policy, remedy)
        for entry in page["results"]:
            try:
                yield CatalogEntry.model_validate(entry)
            except ValidationError:
                invalid += 1
        url = _next_url(page.get("next"), settings.url, remedy)
    if invalid:
        log.warning("%d invalid records of the catalog are left out", invalid)


def pick_translations(found: Iterable[CatalogEntry]) -> list[CatalogEntry]:
    """The most downloaded record per authors and title, sorted by downloads."""
    chosen: dict[tuple[tuple[str, ...], str], CatalogEntry] = {}
    for record in sorted(found, key=lambda record: (-record.download_count, record.id)):
        authors = tuple(sorted(person.name for person in record.authors))
        chosen.setdefault((authors, normalize_title(record.title)), record)
    return list(chosen.values())


def normalize_title(title: str) -> str:
    """The title in lower case, without accents, punctuation and leading article.

    >>> normalize_title("The Æneid, of Virgil")
    'æneid of virgil'
    """
    plain = unicodedata.normalize("NFKD", title.casefold())
    words = re.findall(r"\w+", "".join(mark for mark in plain if not unicodedata.combining(mark)))
    return " ".join(words[1:] if len(words) > 1 and words[0] in ARTICLES else words)


def _is_later(record: CatalogEntry, year: int) -> bool:
    """Whether an author died after the year or, if unknown, was born after it."""
    for person in record.authors:
        known = person.birth_year if person.death_year is None else person.death_year
        if known is not None and known > year:
            return True
    return False


def _fetch_page(url: str, policy: RetryPolicy, remedy: str) -> dict[str, Any]:
    content = fetch(url, policy, PAGE_BYTES, remedy)
    try:
        page = json.loads(content)
    except (ValueError, RecursionError):
        page = None
    if not isinstance(page, dict) or not isinstance(page.get("results"), list):
        raise DataError(f"{url} is not a page of a Gutendex catalog; {remedy}")
    return page


def _next_url(url: object, base: str, remedy: str) -> str | None:
    """The URL of the next page, on the catalog's own server and scheme."""
    if not url:
        return None
    home, there = parse_url(base, remedy), parse_url(str(url), remedy)
    if there.hostname != home.hostname:
        raise DataError(f"the catalog at {base} links to another server, {url}; {remedy}")
    return urlunsplit((home.scheme, home.netloc, there.path, there.query, ""))
