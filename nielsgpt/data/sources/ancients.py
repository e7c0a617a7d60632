"""Ancient texts: download books of Project Gutenberg, and read them as passages.

data/raw/ancients/1497_the-republic.txt
data/raw/ancients/manifest.csv    one line per book
data/raw/ancients/query.json      the query to the catalog
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
from nielsgpt.data.sources.http import RetryPolicy
from nielsgpt.errors import DataError
from nielsgpt.progress import Progress
from nielsgpt.system.atomic_files import read_json, write_json, write_text

log = logging.getLogger("nielsgpt")
MANIFEST = "manifest.csv"
QUERY = "query.json"
COLUMNS = (
    *("gutenberg_id", "title", "authors", "translators", "languages", "download_count"),
    *("subjects", "bookshelves", "text_url", "local_path"),
)
SLUG_CHARACTERS = 80
MAX_CONSECUTIVE_FAILURES = 3
DOWNLOAD_COMMAND = "nielsgpt ancients download"
CODE = (booktext.__file__, gutenberg.__file__, cutting.__file__)


@dataclass(frozen=True)
class Book:
    """A line of the manifest, with the path of its file."""

    title: str
    authors: str
    path: Path


def download_books(
    folder: Path, settings: AncientSettings, policy: RetryPolicy, limit: int | None = None
) -> int:
    """Download the missing books and write the manifest; returns the number of books.

    `limit`: only this many, the most downloaded first. A book that fails is left out with a
    warning. Raises DataError if there are no books, or after several failures in a row.
    """
    remedy = f"put the books and a {MANIFEST} into {folder}"
    wanted = gutendex.select_books(settings, policy, remedy)[:limit]
    downloaded: list[CatalogEntry] = []
    failures = 0
    with Progress("books", len(wanted)) as bar:
        for number, record in enumerate(wanted, start=1):
            path = folder / file_name(record)
            try:
                if not path.exists():
                    policy.sleep(settings.delay_seconds)
                    download(record.text_url or "", path, policy=policy)
                downloaded.append(record)
                failures = 0
            except DataError as error:
                failures += 1
                if failures == MAX_CONSECUTIVE_FAILURES:
                    raise
                log.warning("%s; left out", error)
            bar.show(number, path.name)
    if not downloaded:
        raise DataError(f"{settings.url} has no book for these settings; {remedy}")
    write_text(folder / MANIFEST, format_manifest(downloaded))
    write_json(folder / QUERY, _query(settings))
    return len(downloaded)


def file_name(record: CatalogEntry) -> str:
    """A safe file name of digits, letters a-z and hyphens: `1497_the-republic.txt`."""
    plain = unicodedata.normalize("NFKD", record.title).encode("ascii", "ignore").decode("ascii")
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:SLUG_CHARACTERS].strip("-")
    return f"{record.id}_{slug or 'untitled'}.txt"


def format_manifest(records: list[CatalogEntry]) -> str:
    """The records as CSV; lists are joined by semicolons."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        fields: tuple[str | int | list[str] | list[Person] | None, ...] = (
            *(record.id, record.title, record.authors, record.translators, record.languages),
            *(record.download_count, record.subjects, record.bookshelves),
            *(record.text_url, file_name(record)),
        )
        writer.writerow(map(_format_field, fields))
    return table.getvalue()


def read_manifest(folder: Path, settings: AncientSettings) -> list[Book]:
    """The books of the folder's manifest.

    Raises DataError if it is missing or damaged, points outside its folder, or was downloaded with
    other settings.
    """
    query = read_json(folder / QUERY)
    if query is not None and query != _query(settings):
        raise DataError(
            f"the books in {folder} were chosen with {query} and the settings say "
            f"{_query(settings)}; run '{DOWNLOAD_COMMAND}' with these settings, "
            "or set data.ancients back"
        )
    path = folder / MANIFEST
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
        found = [Book(row["title"], row["authors"], folder / row["local_path"]) for row in rows]
    except FileNotFoundError:
        raise DataError(f"{path} is not there; run '{DOWNLOAD_COMMAND}'") from None
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(f"{path} is damaged ({error}); run '{DOWNLOAD_COMMAND}'") from None
    for book in found:
        inside = book.path.resolve().is_relative_to(folder.resolve())
        if not inside or not book.path.is_file():
            what = "is not there" if inside else f"is outside {folder}"
            raise DataError(f"{book.path} of {path} {what}; run '{DOWNLOAD_COMMAND}'")
    if not found:
        raise DataError(f"{path} lists no book; run '{DOWNLOAD_COMMAND}'")
    return found


def read_passages(found: list[Book], seed: int) -> Iterator[Document]:
    """The passages of 500 to 1000 words of the books, which the seed shuffles."""
    order = list(found)
    random.Random(seed).shuffle(order)
    for book in order:
        for number, passage in enumerate(cutting.cut_passages(read_prose(book)), start=1):
            yield Document(passage, f"{book.path}, passage {number}")


def read_prose(book: Book) -> str:
    """The cleaned text of the book, decoded as UTF-8, else as Latin-1."""
    try:
        content = book.path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{book.path} cannot be read ({error.strerror}); make it readable"
        ) from None
    try:
        return booktext.clean_book(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return booktext.clean_book(content.decode("latin-1"))


def _query(settings: AncientSettings) -> dict[str, int | str]:
    return {"author_year_end": settings.author_year_end, "languages": settings.languages}


def _format_field(value: str | int | list[str] | list[Person] | None) -> str:
    """A manifest field on one line."""
    if isinstance(value, list):
        value = "; ".join(item.name if isinstance(item, Person) else item for item in value)
    return " ".join(str("" if value is None else value).split())
