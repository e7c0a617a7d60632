"""nielsgpt ancients, as it is typed."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.ancients import command
from nielsgpt.errors import DataError
from tests.data.sources.test_gutendex import UTF8, page, record
from tests.data.sources.webserver import Web, file, serving


def run(web: Web, *words: str) -> Result:
    asked = [f"data.ancients.url={web.home}/books", "data.ancients.delay_seconds=0.0"]
    settings = [word for value in asked for word in ("--set", value)]
    return CliRunner().invoke(command, [words[0], *settings, *words[1:]], catch_exceptions=False)


def test_books_are_counted_fetched_and_shown(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch) as web:
        books = [
            record(n, f"Book of {n}", formats={UTF8: f"{web.home}/{n}"}, download_count=9 - n)
            for n in (1, 2, 3)
        ]
        web.answers["/books"] = [page(*books)]
        for number in (1, 2, 3):
            web.answers[f"/{number}"] = [file(b"So it was told of old. " * number)]
        assert run(web, "download", "--count-only").output == "3 books\n"
        assert not (root / "data").exists()
        old = ("--author-year-end", "-300", "--languages", "en,la")
        done = run(web, "download", *old, "--limit", "2")
        assert done.output.startswith("2 books in data/raw/ancients; see them with")
        assert "author_year_end=-300&languages=en%2Cla" in web.asked[1][0]
        with pytest.raises(DataError, match="author_year_end"):
            run(web, "show")
        here = (
            "--set",
            "data.ancients.author_year_end=-300",
            "--set",
            "data.ancients.languages=en,la",
        )
        assert run(web, "show", *here).output == (
            "words  title      authors\n"
            "6      Book of 1  Plato\n"
            "12     Book of 2  Plato\n"
            "18     2 books\n"
        )
