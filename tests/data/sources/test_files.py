"""Your own files, and the words for what is wrong with them."""

import codecs
import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nielsgpt.config.source_settings import TextSettings
from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.data.cache.build import guard_special_tokens
from nielsgpt.data.sources.cleaning import count_changes
from nielsgpt.data.sources.files import (
    CHAT_SUFFIXES,
    TEXT_SUFFIXES,
    count_hidden,
    cut_chunks,
    find_files,
    read_blocks,
    read_conversations,
    read_documents,
    read_text,
    split_lines,
)
from nielsgpt.errors import DataError

PAIR = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]


def test_files_are_found_below_a_folder_in_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a/c.md", "a/skip.pdf", "a/D.TXT"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = find_files(tmp_path, TEXT_SUFFIXES, "data.text.path")
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a/D.TXT", "a/c.md", "b.txt"]


@pytest.mark.parametrize(("name", "what"), [("none", "is not there"), ("empty", "has no .txt")])
def test_nothing_to_read_names_the_setting(name: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"{what}.*data.text.path"):
        find_files(tmp_path / name, TEXT_SUFFIXES, "data.text.path")


def test_chunks_are_whole_paragraphs_and_lose_nothing() -> None:
    text = "\n\n".join(f"paragraph {number} " + "x" * number for number in range(80))
    pieces = list(cut_chunks([text], 200))
    assert "".join(pieces) == text
    assert all(200 <= len(piece) <= 400 and piece.endswith("\n\n") for piece in pieces[:-1])
    assert len(pieces) > 10


@pytest.mark.parametrize("separator", ["\n", " ", ""])
def test_text_without_blank_lines_is_cut_at_lines_then_words_then_anywhere(separator: str) -> None:
    text = separator.join(["wordword"] * 500)
    pieces = list(cut_chunks([text], 100))
    assert "".join(pieces) == text
    assert 20 <= len(pieces) <= 50
    assert all(piece.endswith(separator) for piece in pieces[:-1])


PROSE = st.text(st.sampled_from("ab \n\r\u00e9\U0001f30a"), max_size=60)


@settings(deadline=None)
@given(st.lists(PROSE), st.integers(1, 12))
def test_a_text_is_cut_alike_however_it_is_parted(parts: list[str], size: int) -> None:
    assert list(cut_chunks(parts, size)) == list(cut_chunks(["".join(parts)], size))


@settings(deadline=None)
@given(st.lists(PROSE), st.integers(1, 12))
def test_only_blank_pieces_are_lost(parts: list[str], size: int) -> None:
    text, at = "".join(parts), 0
    for piece in cut_chunks(parts, size):
        found = text.index(piece, at)
        assert not text[at:found].strip() and len(piece) <= 2 * size
        at = found + len(piece)
    assert not text[at:].strip()


@settings(deadline=None)
@given(PROSE, st.integers(3, 9), st.booleans())
def test_a_file_reads_alike_in_blocks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, text: str, size: int, marked: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "blocks.txt"
    path.write_bytes(codecs.BOM_UTF8 * marked + text.encode())
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(read_blocks(path, size=size)) == plain
    assert list(split_lines(read_blocks(path, size=size))) == plain.split("\n")


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"a", b"\xc3", b"\xa9", b"\xf0\x9f", b"\x8c\x8a"])), st.integers(3, 9)
)
def test_a_bad_byte_has_one_place_whatever_the_block(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], size: int
) -> None:
    path, data = tmp_path_factory.getbasetemp() / "bad.txt", b"".join(pieces)
    path.write_bytes(data)
    try:
        assert "".join(read_blocks(path, size=size)) == data.decode()
    except DataError as told:
        with pytest.raises(UnicodeDecodeError) as known:
            data.decode()
        place = known.value.start
        assert f"byte {place} is 0x{data[place]:02X};" in str(told)


def test_the_place_of_a_bad_byte_counts_the_mark_before_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(codecs.BOM_UTF8 + b"a\xff")
    with pytest.raises(DataError, match="byte 4 is 0xFF"):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize("suffix", ["txt", "jsonl"])
def test_ten_times_the_file_takes_no_more_memory(suffix: str, tmp_path: Path) -> None:
    turns = [{**turn, "content": "word " * 400} for turn in PAIR]
    line = b"word " * 100 + b"\n\n" if suffix == "txt" else json.dumps(turns).encode() + b"\n"
    peaks = []
    for megabytes in (2, 20):
        path = tmp_path / f"{megabytes}.{suffix}"
        path.write_bytes(line * (megabytes * 2**20 // len(line)))
        walk = (
            read_documents([path], TextSettings())
            if suffix == "txt"
            else read_conversations([path])
        )
        tracemalloc.start()
        seen = sum(1 for _ in walk)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert seen > 500
    assert peaks[1] < 1.2 * peaks[0]


def test_a_small_file_still_gives_many_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n".join(["word " * 10] * 200))
    found = list(read_documents([tmp_path / "a.txt"], TextSettings()))
    assert 25 <= len(found) <= 60
    assert found[1].name == f"{tmp_path / 'a.txt'}, chunk 2"


def test_many_files_are_documents_as_they_are(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.txt" for number in range(20)]
    for file in files:
        file.write_text("one\n\ntwo")
    assert [d.text for d in read_documents(files, TextSettings())] == ["one\n\ntwo"] * 20


@pytest.mark.parametrize(("split_by", "count"), [("file", 2), ("chunk", 50), ("auto", 50)])
def test_what_is_held_out_whole_can_be_chosen(split_by: str, count: int, tmp_path: Path) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for file in files:
        file.write_text("\n\n".join(["word " * 10] * 200))
    found = list(read_documents(files, TextSettings(split_by=split_by)))  # type: ignore[arg-type]
    assert abs(len(found) - count) <= count // 5
    assert "".join(d.text for d in found) == "".join(read_text(file) for file in files)


def test_an_empty_corpus_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match="only empty files"):
        list(read_documents([tmp_path / "a.txt"], TextSettings()))


def test_text_that_is_not_utf8_names_the_byte(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match=r"a\.txt is not UTF-8: byte 3 is 0xE9"):
        read_text(tmp_path / "a.txt")


def test_a_file_that_the_system_refuses_to_open_is_named(
    tmp_path: Path, refused: Callable[[Path], None]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("some words")
    refused(path)
    line = f"{path} cannot be read (Permission denied); make it readable or leave it out"
    with pytest.raises(DataError, match=f"^{re.escape(line)}$"):
        list(read_documents([path], TextSettings()))


def test_marks_and_line_ends_of_other_systems_are_taken_off(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert read_text(tmp_path / "a.txt") == "one\ntwo"


def test_lines_are_lists_or_objects_with_messages(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text(f"{json.dumps(PAIR)}\n\n{json.dumps({'messages': PAIR, 'id': 3})}\n")
    found = list(read_conversations(find_files(path, CHAT_SUFFIXES, "")))
    assert [m.content for talk in found for m in talk.messages] == ["hi", "yo"] * 2
    assert found[1].name == f"{path}, line 3"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is not JSON"),
        ('"text"', "line 2 has neither"),
        ('{"text": "x"}', "line 2 has neither"),
        ('[{"role": "bot", "content": "x"}]', "line 2: message 1 has the unknown role 'bot'"),
        ("[" * 100_000, "line 2 is not JSON"),
    ],
)
def test_a_broken_line_is_named_by_its_number(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text(f"{json.dumps(PAIR)}\n{line}\n")
    with pytest.raises(DataError, match=message):
        list(read_conversations([path]))


def test_a_file_without_conversations_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "chat.jsonl").write_text("\n \n")
    with pytest.raises(DataError, match="has no conversation"):
        list(read_conversations([tmp_path / "chat.jsonl"]))


def test_hidden_files_and_sidecars_are_not_read_but_counted(tmp_path: Path) -> None:
    hidden = ("._a.txt", ".trash/b.md", ".git/c.txt", "__MACOSX/d.txt", "sub/~$e.md")
    for name in ("a.txt", "sub/f.md", *hidden):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = find_files(tmp_path, TEXT_SUFFIXES, "data.text.path")
    assert found == [tmp_path / "a.txt", tmp_path / "sub" / "f.md"]
    assert count_hidden(tmp_path, TEXT_SUFFIXES) == len(hidden)


def test_a_hidden_file_or_folder_that_is_named_is_read(tmp_path: Path) -> None:
    notes = tmp_path / ".notes"
    notes.mkdir()
    (notes / ".a.txt").write_text("x")
    assert find_files(notes / ".a.txt", TEXT_SUFFIXES, "") == [notes / ".a.txt"]
    with pytest.raises(DataError, match=r"only hidden files, such as \.a\.txt.*data\.text\.path"):
        find_files(notes, TEXT_SUFFIXES, "data.text.path")
    (notes / "b.txt").write_text("x")
    assert find_files(notes, TEXT_SUFFIXES, "") == [notes / "b.txt"]


def test_control_characters_are_taken_out_and_all_that_is_changed_is_counted(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(codecs.BOM_UTF8 + b"one\r\ntwo\rthree\x00\x1b[0m\x0cfour\tfive\x7f\n")
    assert read_text(path) == "one\ntwo\nthree[0m\nfour\tfive\n"
    assert count_changes([path]) == {
        "byte order marks removed": 1,
        "line ends of other systems made \\n": 2,
        "control characters taken out": 3,
    }
    path.write_text("a plain text\n")
    assert not count_changes([path])


@pytest.mark.parametrize(
    ("data", "encoding"), [("hé".encode("utf-16"), "UTF-16"), (b"caf\xe9", "WINDOWS-1252")]
)
def test_text_in_another_encoding_gets_the_command_that_converts_it(
    data: bytes, encoding: str, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(DataError, match=f"'iconv -f {encoding} -t UTF-8"):
        read_text(tmp_path / "a.txt")


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["a", "<|", "|>", "eot", *SPECIAL_TEXTS]), max_size=30),
    st.integers(1, 12),
)
def test_a_special_token_that_is_spelled_stays_whole_in_one_piece(
    words: list[str], size: int
) -> None:
    text = "".join(words)
    pieces = list(cut_chunks(list(text), size))
    assert "".join(pieces) == text
    for special in SPECIAL_TEXTS:
        assert sum(piece.count(special) for piece in pieces) == text.count(special)


@pytest.mark.parametrize("special", SPECIAL_TEXTS)
def test_a_special_token_is_found_in_a_text_of_any_length(special: str, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    for length in (0, 1, 7, 50, 120, 299, 300, 5000):
        for at in {0, length // 3, length}:
            words = "the keeper " * length
            file.write_text(words[:at] + special + words[at:length])
            pieces = read_documents([file], TextSettings())
            with pytest.raises(DataError, match="contains the special token"):
                for piece in pieces:
                    guard_special_tokens(piece.text, piece.name, "fail")


def test_the_marks_of_files_that_were_put_together_are_taken_off(tmp_path: Path) -> None:
    mark, line = codecs.BOM_UTF8, json.dumps(PAIR).encode() + b"\n"
    (tmp_path / "a.jsonl").write_bytes(2 * (mark + line))
    (tmp_path / "a.txt").write_bytes(mark + b"one\n" + mark + b"two")
    assert len(list(read_conversations([tmp_path / "a.jsonl"]))) == 2
    assert read_text(tmp_path / "a.txt") == "one\ntwo"
    assert count_changes([tmp_path / "a.txt"]) == {"byte order marks removed": 2}
