"""The catalogue: which pages are read, which records are kept, and what leads away."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from nielsgpt.config.source_settings import AncientSettings
from nielsgpt.data.sources.gutendex import (
    CatalogEntry,
    fetch_records,
    normalize_title,
    pick_translations,
    select_books,
)
from nielsgpt.data.sources.http import RetryPolicy
from nielsgpt.errors import DataError
from tests.data.sources.webserver import Answer, Web, file, status

UTF8 = "text/plain; charset=utf-8"


def record(id: int, title: str = "", **over: Any) -> dict[str, Any]:
    author = {"name": "Plato", "birth_year": -428, "death_year": -348}
    formats = {UTF8: f"http://host/{id}.txt", "text/html": "http://host/page"}
    plain = {"id": id, "title": title or f"Title {id}", "authors": [author], "formats": formats}
    return {**plain, "languages": ["en"], "media_type": "Text", "copyright": False, **over}


def page(*found: Any, next: str | None = None) -> Answer:
    answer = {"count": len(found), "next": next, "previous": None, "results": list(found)}
    return file(json.dumps(answer).encode(), Content_Type="application/json")


def settings(web: Web, **over: Any) -> AncientSettings:
    return AncientSettings(url=f"{web.home}/books", delay_seconds=2.5, **over)


def had(web: Web, **over: Any) -> list[int]:
    found = select_books(
        settings(web, **over), RetryPolicy(sleep=web.waited.append), "put it there"
    )
    return [book.id for book in found]


def test_every_page_is_read_with_a_pause_between_two(web: Web) -> None:
    there = "https://127.0.0.1:9/books/?page={}"
    web.answers["/books"] = [status(500), page(record(1), record(2), next=there.format(2))]
    web.answers["/books/?page=2"] = [page(record(3), next=there.format(3))]
    web.answers["/books/?page=3"] = [page(record(4))]
    assert had(web, author_year_end=300, languages="en,la") == [1, 2, 3, 4]
    assert parse_qs(urlsplit(web.asked[0][0]).query) == {
        "author_year_end": ["300"],
        "languages": ["en,la"],
    }
    assert web.waited.count(2.5) == 2


@pytest.mark.parametrize(
    ("next", "reason"),
    [
        (
            "http://elsewhere.example/books?page=2",
            "links to another server, http://elsewhere.example",
        ),
        (
            "http://127.0.0.1.elsewhere.example/",
            "links to another server, http://127.0.0.1.elsewhere",
        ),
        ("file:///etc/passwd", "is not an http or https address"),
        ("http://[", "is not an http or https address"),
        ("/books?author_year_end=500&languages=en", "is not an http or https address"),
        ("http://127.0.0.1/books?author_year_end=500&languages=en", "has a circular link"),
    ],
)
def test_a_next_page_that_leads_astray_ends_in_one_line(next: str, reason: str, web: Web) -> None:
    web.answers["/books"] = [page(record(1), next=next)]
    with pytest.raises(DataError, match=f"{reason}.*; put it there"):
        had(web)
    assert len(web.asked) == 1


@pytest.mark.parametrize("content", [b"<html>", b"[1]", b'{"results": 3}', b"[" * 100_000])
def test_what_is_no_catalogue_is_said_to_be_none(content: bytes, web: Web) -> None:
    web.answers["/books"] = [file(content)]
    with pytest.raises(DataError, match="is not a page of a Gutendex catalog; put it there"):
        had(web)


def person(born: int | None, died: int | None) -> dict[str, Any]:
    return {"name": "Somebody", "birth_year": born, "death_year": died}


@pytest.mark.parametrize(
    ("authors", "kept"),
    [
        ([person(-100, 500)], True),
        ([person(430, 501)], False),
        ([person(480, None)], True),
        ([person(501, None)], False),
        ([person(None, 20), person(1800, 1870)], False),
        ([person(None, None)], True),
        ([], True),
    ],
)
def test_who_died_or_was_born_later_is_left_out(
    authors: list[dict[str, Any]], kept: bool, web: Web
) -> None:
    web.answers["/books"] = [page(record(1, authors=authors))]
    assert had(web) == [1] * kept


@pytest.mark.parametrize(
    ("formats", "wanted"),
    [
        ({"text/plain": "c", "text/plain; charset=us-ascii": "b", UTF8: "a"}, "a"),
        ({"text/plain": "c", "text/plain; charset=us-ascii": "b"}, "b"),
        ({"text/plain; charset=iso-8859-1": "c"}, "c"),
        ({UTF8: "a.zip", "text/plain": "c"}, "c"),
        ({"text/html": "d"}, None),
    ],
)
def test_the_best_plain_text_is_taken(formats: dict[str, str], wanted: str | None) -> None:
    assert CatalogEntry(id=1, title="", formats=formats).text_url == wanted


def test_of_several_translations_the_most_downloaded_is_kept() -> None:
    raw = [
        record(1, "The Iliad", download_count=5),
        record(2, "Iliad", download_count=9),
        record(3, "ILIAD!", download_count=9),
        record(4, "Iliad", download_count=99, authors=[]),
        record(5, "The Odyssey"),
    ]
    found = pick_translations(CatalogEntry.model_validate(entry) for entry in raw)
    assert [book.id for book in found] == [4, 2, 5]


@pytest.mark.parametrize("title", ["The Republic", "A  republic.", "R\u00e9public", "REPUBLIC"])
def test_titles_are_compared_without_what_printers_add(title: str) -> None:
    assert normalize_title(title) == "republic"
    assert normalize_title("History, Volume 1") != normalize_title("History, Volume 2")
    assert normalize_title("The") == "the"


def test_a_record_that_is_broken_is_left_out_and_counted(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    web.answers["/books"] = [
        page(record(1), {"id": "../x"}, None, record(0), record(7, formats=3), record(2))
    ]
    found = fetch_records(settings(web), RetryPolicy(sleep=web.waited.append), "")
    assert [book.id for book in found] == [1, 2]
    assert "4 invalid records of the catalog" in caplog.text
