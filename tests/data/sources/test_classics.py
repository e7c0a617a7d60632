"""Names and a book: what is a document, and that they are downloaded once."""

from pathlib import Path

import pytest

from nielsgpt.config.source_settings import LinesSettings
from nielsgpt.data.sources.classics import download_if_missing, read_book, read_names
from nielsgpt.data.sources.gutenberg import extract_body
from nielsgpt.errors import DataError
from tests.data.sources.webserver import Web, file

NEW = (
    "*** START OF THE PROJECT GUTENBERG EBOOK ALICE ***\n{}\n*** END OF THE PROJECT GUTENBERG EBOOK"
)
STORY = "CHAPTER I\n\nShe fell.\n\nAnd fell."


def test_a_text_is_downloaded_once_and_then_yours(web: Web, tmp_path: Path) -> None:
    web.answers["/names.txt"] = [file(b"emma\nzo\xc3\xab\n\nemma\n")]
    settings = LinesSettings(path="raw/names.txt", url=f"{web.home}/names.txt")
    for _ in range(2):
        path = download_if_missing(tmp_path, settings, "data.names")
    assert [document.text for document in read_names(path)] == ["emma", "zo\u00eb", "emma"]
    assert [document.name for document in read_names(path)][2] == f"{path}, line 4"
    assert len(web.asked) == 1


def test_without_network_one_line_says_where_the_text_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match=r"put a copy at .*raw/a.txt, or set data.alice.path"):
        download_if_missing(
            tmp_path, LinesSettings(path="raw/a.txt", url="http://127.0.0.1:1/"), "data.alice"
        )


def test_an_empty_list_of_names_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "n").write_text("\n")
    with pytest.raises(DataError, match="has no text"):
        list(read_names(tmp_path / "n"))


@pytest.mark.parametrize(
    "text",
    [
        STORY,
        "Licence of Project Gutenberg\n\nTitle\n" + NEW.format(STORY) + " ALICE ***\nLicence",
        NEW.replace("THE", "THIS").format("\n\nProduced by A. Person\nand others\n\n" + STORY),
        "*** START OF THE PROJECT GUTENBERG EBOOK A BOOK, BY\nA PERSON ***\n" + STORY,
        "Header\n*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n" + STORY,
        "Welcome to Project Gutenberg etexts\n\nAnother etext here\n\n" + STORY,
        STORY + "\n\nEnd of Project Gutenberg's Alice\n\nLicence",
        STORY + "\n\n*** START: FULL LICENSE ***\nText",
    ],
)
def test_only_the_book_is_left_of_a_file(text: str) -> None:
    assert extract_body(text) == STORY


def test_a_book_is_cut_into_paragraphs_without_its_licence(tmp_path: Path) -> None:
    told = "\n\n".join(f"Paragraph {number} of the book." for number in range(200))
    (tmp_path / "a.txt").write_text(NEW.format(told), encoding="utf-8")
    found = [document.text for document in read_book(tmp_path / "a.txt", 4000)]
    assert "".join(found) == told and len(found) > 30
    assert all(text.endswith("book.\n\n") for text in found[:-1])


def test_a_file_of_licence_alone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(NEW.format("  "), encoding="utf-8")
    with pytest.raises(DataError, match="has no text of a book"):
        list(read_book(tmp_path / "a.txt", 4000))
