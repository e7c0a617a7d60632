"""Your own files, and the words for what is wrong with them."""

import json
from pathlib import Path

import pytest

from nielsgpt.errors import DataError
from nielsgpt.settings.sources import TextSettings
from nielsgpt.sources.files import (
    CHAT_SUFFIXES,
    TEXT_SUFFIXES,
    chunks,
    conversations,
    documents,
    find,
    read,
)

PAIR = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]


def test_files_are_found_below_a_folder_in_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a/c.md", "a/skip.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = find(tmp_path, TEXT_SUFFIXES, "data.text.path")
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a/c.md", "b.txt"]


@pytest.mark.parametrize(("name", "what"), [("none", "is not there"), ("empty", "holds no .txt")])
def test_nothing_to_read_names_the_setting(name: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"{what}.*data.text.path"):
        find(tmp_path / name, TEXT_SUFFIXES, "data.text.path")


def test_chunks_are_whole_paragraphs_and_lose_nothing() -> None:
    text = "\n\n".join(f"paragraph {number} " + "x" * number for number in range(80))
    pieces = list(chunks(text, 200))
    assert "".join(pieces) == text
    assert all(200 <= len(piece) <= 400 and piece.endswith("\n\n") for piece in pieces[:-1])
    assert len(pieces) > 10


@pytest.mark.parametrize("separator", ["\n", " ", ""])
def test_text_without_blank_lines_is_cut_at_lines_then_words_then_anywhere(separator: str) -> None:
    text = separator.join(["wordword"] * 500)
    pieces = list(chunks(text, 100))
    assert "".join(pieces) == text
    assert 20 <= len(pieces) <= 50
    assert all(piece.endswith(separator) for piece in pieces[:-1])


def test_a_small_file_still_gives_many_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(["word " * 10] * 200))
    found = list(documents([tmp_path / "a.txt"], TextSettings()))
    assert 25 <= len(found) <= 60
    assert found[1].name == f"{tmp_path / 'a.txt'}, chunk 2"


def test_many_files_are_documents_as_they_are(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.txt" for number in range(20)]
    for file in files:
        file.write_text("one\n\ntwo")
    assert [d.text for d in documents(files, TextSettings())] == ["one\n\ntwo"] * 20


def test_an_empty_corpus_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match="only empty files"):
        list(documents([tmp_path / "a.txt"], TextSettings()))


def test_text_that_is_not_utf8_names_the_byte(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match=r"a\.txt is not UTF-8: byte 3 is 0xE9"):
        read(tmp_path / "a.txt")


def test_marks_and_line_ends_of_other_systems_are_taken_off(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert read(tmp_path / "a.txt") == "one\ntwo"


def test_lines_are_lists_or_objects_with_messages(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text(f"{json.dumps(PAIR)}\n\n{json.dumps({'messages': PAIR, 'id': 3})}\n")
    found = list(conversations(find(path, CHAT_SUFFIXES, "")))
    assert [m.content for talk in found for m in talk.messages] == ["hi", "yo"] * 2
    assert found[1].name == f"{path}, line 3"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is not JSON"),
        ('"text"', "line 2 holds neither"),
        ('{"text": "x"}', "line 2 holds neither"),
        ('[{"role": "bot", "content": "x"}]', "line 2: message 1 has the unknown role 'bot'"),
        ("[" * 100_000, "line 2 is not JSON"),
    ],
)
def test_a_broken_line_is_named_by_its_number(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text(f"{json.dumps(PAIR)}\n{line}\n")
    with pytest.raises(DataError, match=message):
        list(conversations([path]))


def test_a_file_without_conversations_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "chat.jsonl").write_text("\n \n")
    with pytest.raises(DataError, match="holds no conversation"):
        list(conversations([tmp_path / "chat.jsonl"]))
