"""The folder of ancient books: what is fetched, how it is named, and what is read from it."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nielsgpt.config.source_settings import AncientSettings
from nielsgpt.data.sources.ancients import (
    COLUMNS,
    Book,
    download_books,
    file_name,
    read_manifest,
    read_passages,
    read_prose,
)
from nielsgpt.data.sources.gutendex import CatalogEntry
from nielsgpt.data.sources.http import RetryPolicy
from nielsgpt.errors import DataError
from tests.data.sources.test_gutendex import UTF8, page, record, settings
from tests.data.sources.webserver import Web, file, status

HOSTILE = ["../../etc/passwd", "/etc/passwd", "..", "a\0b", "a\\..\\b", "\u202e\u4f60", "x" * 999]


def offer(web: Web, *numbers: int, **over: object) -> None:
    """A catalogue of these books, each with a text of its own."""
    found = []
    for number in numbers:
        formats = {UTF8: f"{web.home}/{number}.txt"}
        found.append(record(number, formats=formats, download_count=100 - number, **over))
        web.answers.setdefault(f"/{number}.txt", [file(f"Book {number} begins.".encode())])
    web.answers["/books"] = [page(*found)]


def get(web: Web, folder: Path, limit: int | None = None) -> int:
    return download_books(
        folder, settings(web), RetryPolicy(tries=2, sleep=web.waited.append), limit
    )


@pytest.mark.parametrize("title", HOSTILE)
def test_no_title_leads_out_of_the_folder(title: str) -> None:
    name = file_name(CatalogEntry(id=7, title=title))
    assert name.startswith("7_") and name.endswith(".txt") and len(name) <= 86
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.") and ".." not in name


def test_a_book_is_fetched_once_and_told_in_the_manifest(web: Web, tmp_path: Path) -> None:
    authors = [{"name": "A, B"}, {"name": "C"}]
    offer(web, 1, title='\u00cele, \r\n"x"', subjects=["a", "b"], authors=authors)
    assert get(web, tmp_path) == get(web, tmp_path) == 1
    assert [path for path, _ in web.asked].count("/1.txt") == 1
    assert web.waited == [2.5]
    header, row, *more = csv.reader((tmp_path / "manifest.csv").read_text("utf-8").splitlines())
    assert tuple(header) == COLUMNS and not more
    url = f"{web.home}/1.txt"
    assert row == ["1", '\u00cele, "x"', "A, B; C", "", "en", "99", "a; b", "", url, "1_ile-x.txt"]
    assert [read_prose(book) for book in read_manifest(tmp_path, settings(web))] == [
        "Book 1 begins."
    ]


def test_the_most_downloaded_books_come_first_where_few_are_wanted(
    web: Web, tmp_path: Path
) -> None:
    offer(web, 3, 1, 2)
    assert get(web, tmp_path, limit=2) == 2
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == [
        "1_title-1.txt",
        "2_title-2.txt",
    ]


def test_a_book_that_cannot_be_had_is_left_out_with_a_line(
    web: Web, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (2, 4, 6, 8):
        web.answers[f"/{number}.txt"] = [status(404)]
    offer(web, *range(1, 9))
    assert get(web, tmp_path) == 4
    assert "/8.txt cannot be downloaded (404 Not Found)" in caplog.text
    assert len(read_manifest(tmp_path, settings(web))) == 4


def test_three_failures_in_a_row_end_it_and_the_next_command_goes_on(
    web: Web, tmp_path: Path
) -> None:
    for number in (2, 3, 4):
        web.answers[f"/{number}.txt"] = [status(404), file(b"Here now.")]
    offer(web, 1, 2, 3, 4, 5)
    with pytest.raises(DataError, match=r"/4\.txt cannot be downloaded"):
        get(web, tmp_path)
    assert not (tmp_path / "manifest.csv").exists()
    assert get(web, tmp_path) == 5
    assert [path for path, _ in web.asked].count("/1.txt") == 1


def test_a_catalogue_without_books_is_an_error(web: Web, tmp_path: Path) -> None:
    offer(web)
    with pytest.raises(DataError, match="has no book for these settings; put the books and a"):
        get(web, tmp_path)


def test_books_that_were_chosen_otherwise_are_not_taken_for_these(web: Web, tmp_path: Path) -> None:
    offer(web, 1)
    get(web, tmp_path)
    with pytest.raises(DataError, match=r"'author_year_end': 300.*ancients download"):
        read_manifest(tmp_path, AncientSettings(author_year_end=300))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "is not there; run"),
        ("title,authors\na,b\n", "is damaged"),
        ("title,authors,local_path\n", "lists no book"),
        ("title,authors,local_path\na,b,../x.txt\n", "is outside"),
        ("title,authors,local_path\na,b,/etc/passwd\n", "is outside"),
        ("title,authors,local_path\na,b,x.txt\n", "is not there; run"),
        ("title,authors,local_path\na,b,\n", "is not there; run"),
        ("title,authors,local_path\na\n", "is damaged"),
    ],
)
def test_a_manifest_that_leads_nowhere_is_one_line(
    content: str | None, reason: str, tmp_path: Path
) -> None:
    folder = tmp_path / "ancients"
    folder.mkdir()
    (tmp_path / "x.txt").write_text("private")
    if content is not None:
        (folder / "manifest.csv").write_text(content)
    with pytest.raises(DataError, match=f"{reason}.*nielsgpt ancients download"):
        read_manifest(folder, AncientSettings())


def test_passages_come_book_by_book_in_an_order_of_the_seed(web: Web, tmp_path: Path) -> None:
    for number in range(1, 7):
        text = "\n\n".join(f"Of book {number}, {part}. " + "word " * 200 for part in range(9))
        web.answers[f"/{number}.txt"] = [file(text.encode())]
    offer(web, *range(1, 7))
    get(web, tmp_path)
    found = read_manifest(tmp_path, settings(web))
    told = [[document.name for document in read_passages(found, seed)] for seed in (1, 1, 2)]
    assert told[0] == told[1] != told[2] and sorted(told[0]) == sorted(told[2])
    assert len(told[0]) == 18 and told[0][0].endswith(", passage 1")


def test_an_older_file_is_read_as_latin_1(web: Web, tmp_path: Path) -> None:
    web.answers["/1.txt"] = [file("\u00c6neas went on.".encode("latin-1"))]
    offer(web, 1)
    get(web, tmp_path)
    assert read_prose(read_manifest(tmp_path, settings(web))[0]) == "\u00c6neas went on."


def test_a_book_that_the_system_refuses_to_open_is_named(
    tmp_path: Path, refused: Callable[[Path], None]
) -> None:
    book = Book("t", "a", tmp_path / "1_t.txt")
    book.path.write_text("It went on.")
    refused(book.path)
    line = f"{book.path} cannot be read (Permission denied); make it readable"
    with pytest.raises(DataError, match=f"^{re.escape(line)}$"):
        read_prose(book)
