"""Each promise of the founding documents is kept by a test, replaced by a ruling, or told open."""

import json
import re
from pathlib import Path

import pytest

from tests.promises.table import ROOT, Row, rows

PAGE = (ROOT / "docs" / "coming-from.md").read_text("utf-8")
ROWS = rows()
COUNTS = {"000": 76, "001": 62, "002": 27, "003": 37, "004": 29}
OPEN_AT_MOST = 22


def of(status: str) -> list[Row]:
    return [row for row in ROWS if row.status == status]


def test_every_promise_has_its_row() -> None:
    assert {name: sum(row.document == name for row in ROWS) for name in COUNTS} == COUNTS
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert {row.status for row in ROWS} <= {"kept", "ruling", "open"}
    assert all(row.promise and row.by and re.fullmatch(r"[\d,-]+", row.lines) for row in ROWS)


@pytest.mark.parametrize("row", of("kept"), ids=lambda row: row.id)
def test_the_test_of_a_kept_promise_exists(row: Row) -> None:
    file, _, name = row.by.partition("::")
    defined = re.search(rf"^def {name}\(", (ROOT / file).read_text("utf-8"), re.M)
    assert defined, f"{row.id}: {row.by}"


@pytest.mark.parametrize("row", of("ruling"), ids=lambda row: row.id)
def test_the_page_for_newcomers_names_the_ruling(row: Row) -> None:
    assert f"- **{row.by}**:" in PAGE


def test_no_more_promises_are_open_than_were() -> None:
    assert len(of("open")) <= OPEN_AT_MOST, "an open promise may only become a kept one"


def test_the_page_explains_why_bos_suits_names() -> None:
    told = " ".join(PAGE.split())
    assert "BOS stands at both ends of a document." in told
    assert "A name is a whole document" in told


def test_no_ruling_of_the_page_replaces_nothing() -> None:
    section = PAGE.partition("## What was replaced")[2].partition("\n## ")[0]
    assert set(re.findall(r"^- \*\*(.+?)\*\*:", section, re.M)) == {row.by for row in of("ruling")}


def test_the_table_speaks_of_files_that_are_there() -> None:
    assert all(Path(ROOT / row.by.partition("::")[0]).is_file() for row in of("kept"))


def test_the_page_maps_every_option_of_every_document() -> None:
    options = json.loads((ROOT / "tests/promises/options.json").read_text("utf-8"))
    assert list(options) == list(COUNTS)
    told = set(re.findall(r"--[a-zA-Z][a-zA-Z_-]*", PAGE))
    missing = {name: sorted(set(words) - told) for name, words in options.items()}
    assert missing == {name: [] for name in options}
