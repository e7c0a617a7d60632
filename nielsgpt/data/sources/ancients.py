"""Ancient texts: books of Project Gutenberg in a folder, and the passages that are trained on.

data/raw/ancients/1497_the-republic.txt
data/raw/ancients/manifest.csv    a line a book
data/raw/ancients/query.json      what the catalogue was asked for
"""

import csv
import io
import logging
import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nielsgpt.config.source_settings import AncientSettings
from nielsgpt.conversation import Document
from nielsgpt.data.sources import booktext, gutenberg, gutendex
from nielsgpt.data.sources import passages as cutting
from nielsgpt.data.sources.download import download
from nielsgpt.data.sources.gutendex import CatalogEntry, Person
from nielsgpt.data.sources.http import Patience
from nielsgpt.errors import DataError
from nielsgpt.progress import Progress
from nielsgpt.system.workspace import read_json, write_json, write_text

log = logging.getLogger("nielsgpt")
MANIFEST = "manifest.csv"
QUERY = "query.json"
COLUMNS = (
    *("gutenberg_id", "title", "authors", "translators", "languages", "download_count"),
    *("subjects", "bookshelves", "text_url", "local_path"),
)
SLUG_CHARACTERS = 80
FAILURES_IN_A_ROW = 3
FETCH = "nielsgpt ancients download"
CODE = (booktext.__file__, gutenberg.__file__, cutting.__file__)


@dataclass(frozen=True)
class Book:
    """A line of the manifest, and its file."""

    title: str
    authors: str
    path: Path


def fetch(
    folder: Path, settings: AncientSettings, patience: Patience, limit: int | None = None
) -> int:
    """Download the books that are missing, and write the manifest; the number of books in it.

    `limit` is how many, the most downloaded first; none: all. A book that cannot be had is left
    out, with a line. Raises DataError when there is none, or when several in a row cannot be had.
    """
    instead = f"put the books and a {MANIFEST} into {folder}"
    wanted = gutendex.books(settings, patience, instead)[:limit]
    had: list[CatalogEntry] = []
    failures = 0
    with Progress("books", len(wanted)) as bar:
        for number, record in enumerate(wanted, start=1):
            path = folder / file_name(record)
            try:
                if not path.exists():
                    patience.sleep(settings.delay_seconds)
                    download(record.text_url or "", path, patience=patience)
                had.append(record)
                failures = 0
            except DataError as error:
                failures += 1
                if failures == FAILURES_IN_A_ROW:
                    raise
                log.warning("%s; left out", error)
            bar.show(number, path.name)
    if not had:
        raise DataError(f"{settings.url} has no book for these settings; {instead}")
    write_text(folder / MANIFEST, manifest(had))
    write_json(folder / QUERY, _query(settings))
    return len(had)


def file_name(record: CatalogEntry) -> str:
    """`1497_the-republic.txt`: digits, letters a-z and hyphens, whatever the catalogue says."""
    plain = unicodedata.normalize("NFKD", record.title).encode("ascii", "ignore").decode("ascii")
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:SLUG_CHARACTERS].strip("-")
    return f"{record.id}_{slug or 'untitled'}.txt"


def manifest(records: list[CatalogEntry]) -> str:
    """The records as CSV; several names in one field are separated by semicolons."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        fields: tuple[str | int | list[str] | list[Person] | None, ...] = (
            *(record.id, record.title, record.authors, record.translators, record.languages),
            *(record.download_count, record.subjects, record.bookshelves),
            *(record.text_url, file_name(record)),
        )
        writer.writerow(map(_field, fields))
    return table.getvalue()


def books(folder: Path, settings: AncientSettings) -> list[Book]:
    """The books of the folder's manifest.

    Raises DataError where it is missing or damaged, leads out of its folder, or holds the answer
    to other settings.
    """
    asked = read_json(folder / QUERY)
    if asked is not None and asked != _query(settings):
        raise DataError(
            f"the books in {folder} were chosen with {asked} and the settings say "
            f"{_query(settings)}; run '{FETCH}' with these settings, or set data.ancients back"
        )
    path = folder / MANIFEST
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
        found = [Book(row["title"], row["authors"], folder / row["local_path"]) for row in rows]
    except FileNotFoundError:
        raise DataError(f"{path} is not there; run '{FETCH}'") from None
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(f"{path} is damaged ({error}); run '{FETCH}'") from None
    for book in found:
        inside = book.path.resolve().is_relative_to(folder.resolve())
        if not inside or not book.path.is_file():
            what = "is not there" if inside else f"lies outside of {folder}"
            raise DataError(f"{book.path} of {path} {what}; run '{FETCH}'")
    if not found:
        raise DataError(f"{path} lists no book; run '{FETCH}'")
    return found


def documents(found: list[Book], seed: int) -> Iterator[Document]:
    """The books' passages of 500 to 1000 words, the books in an order that the seed decides."""
    order = list(found)
    random.Random(seed).shuffle(order)
    for book in order:
        for number, passage in enumerate(cutting.passages(prose(book)), start=1):
            yield Document(passage, f"{book.path}, passage {number}")


def prose(book: Book) -> str:
    """The book's cleaned text. A file that is not UTF-8 is read as Latin-1, as older ones are."""
    try:
        content = book.path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{book.path} cannot be read ({error.strerror}); make it readable"
        ) from None
    try:
        return booktext.clean(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return booktext.clean(content.decode("latin-1"))


def _query(settings: AncientSettings) -> dict[str, int | str]:
    return {"author_year_end": settings.author_year_end, "languages": settings.languages}


def _field(value: str | int | list[str] | list[Person] | None) -> str:
    """A field of the manifest, in one line."""
    if isinstance(value, list):
        value = "; ".join(item.name if isinstance(item, Person) else item for item in value)
    return " ".join(str("" if value is None else value).split())
