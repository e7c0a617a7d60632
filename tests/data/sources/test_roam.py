"""Your notes: which are found, and what becomes of bytes that are no text."""

from pathlib import Path

import pytest

from nielsgpt.config.source_settings import RoamSettings
from nielsgpt.data.sources.roam import find_notes, read_notes
from nielsgpt.errors import DataError


def write(root: Path, **notes: bytes) -> None:
    for name, content in notes.items():
        path = root / name.replace("__", "/").replace("_md", ".md")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_every_note_at_any_depth_is_a_document_in_sorted_order(tmp_path: Path) -> None:
    write(tmp_path / "data/.roam-data", b_md=b"two", a__deep__x_md=b"one", c_txt=b"no", d_md=b" \n")
    found = list(read_notes(find_notes(tmp_path, RoamSettings())))
    assert [document.text for document in found] == ["one", "two"]
    assert found[0].name.endswith("a/deep/x.md")


def test_bytes_that_are_no_utf8_are_replaced(tmp_path: Path) -> None:
    write(tmp_path / "data/.roam-data", a_md=b"caf\xe9\r\n\xc3")
    (found,) = read_notes(find_notes(tmp_path, RoamSettings()))
    assert found.text == "caf\ufffd\n\ufffd"


def test_the_older_folder_is_taken_where_the_default_one_is_missing(tmp_path: Path) -> None:
    write(tmp_path / ".roam-data", a_md=b"old")
    assert [path.parent.name for path in find_notes(tmp_path, RoamSettings())] == [".roam-data"]
    with pytest.raises(DataError, match=r"elsewhere is not there; .* set data.roam.path"):
        find_notes(tmp_path, RoamSettings(path="elsewhere"))
    write(tmp_path / "data/.roam-data", b_md=b"new")
    assert [path.name for path in find_notes(tmp_path, RoamSettings())] == ["b.md"]


def test_notes_that_are_all_empty_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "data/.roam-data", a_md=b"", b_md=b"\n")
    with pytest.raises(DataError, match="has only empty notes"):
        list(read_notes(find_notes(tmp_path, RoamSettings())))
