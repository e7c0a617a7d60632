"""An import as it is typed: what it writes, what it leaves alone, what it survives."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.import_ import command
from nielsgpt.data.sources import files
from nielsgpt.errors import DataError
from nielsgpt.importers import confine, gather
from tests.importers import made

LONG = " ".join(f"the keeper lit lamp number {n} before the rain" for n in range(12))
CHAT = "31.12.23, 21:11 - Ada: Is it lit?\n31.12.23, 21:12 - Niels: Yes.\n"


@pytest.fixture
def home(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with another in it that holds what a person has."""
    monkeypatch.delenv("NIELSGPT_ROOT", raising=False)
    (root / "mine").mkdir()
    return root


def run(*words: str) -> str:
    return CliRunner().invoke(command, words, catch_exceptions=False).output


def texts(home: Path) -> dict[str, str]:
    folder = home / "data" / "raw" / "text" / "imported"
    return {p.relative_to(folder).as_posix(): p.read_text("utf-8") for p in folder.rglob("*.*")}


def test_a_folder_becomes_text_and_conversations_that_training_reads(home: Path) -> None:
    (home / "mine" / "a.txt").write_text(LONG)
    (home / "mine" / ".hidden.txt").write_text("hidden")
    (home / "mine" / "photo.jpg").write_bytes(b"x")
    (home / "mine" / "chat.txt").write_text(CHAT)
    made.archive(home / "mine" / "b.zip", {"in/b.md": "# Oil\n\nIt burns.", "in/c.txt": LONG})
    output = run("mine", "--as", "niels")
    assert "1 .jpg" in output and "1 documents" in output
    assert sorted(texts(home).values()) == ["# Oil\n\nIt burns.\n", f"{LONG}\n"]
    (chat,) = files.read_conversations([home / "data" / "raw" / "chat.jsonl"])
    assert chat.text == "Is it lit?\nYes."
    page = (home / "data" / "import" / "report.html").read_text("utf-8")
    assert "b.zip/in/b.md" in page and page.count("<svg") == 3


def test_a_second_import_reads_only_what_changed(home: Path) -> None:
    (home / "mine" / "a.txt").write_text("The lamp is lit.")
    (home / "mine" / "b.txt").write_text("The oil burns.")
    assert "read now: 2;" in run("mine")
    (home / "mine" / "b.txt").write_text("The oil is out.")
    assert "read now: 1;" in run("mine")
    assert sorted(texts(home).values()) == ["The lamp is lit.\n", "The oil is out.\n"]
    assert (
        len(list((home / "data" / "import" / "read").iterdir())) == 4
    )  # what was replaced is gone
    assert "read now: 0;" in run("mine/a.txt")
    assert len(texts(home)) == 2


def test_nothing_of_the_persons_is_altered(home: Path) -> None:
    own = home / "data" / "raw" / "chat.jsonl"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    (home / "mine" / "chat.txt").write_text(CHAT)
    (home / "mine" / "a.txt").write_text("The lamp is lit.")
    assert "--set data.chat.path=data/raw/chat-imported.jsonl" in run("mine", "--as", "Niels")
    assert own.read_text() == "mine"
    (name,) = texts(home)
    edited = home / "data" / "raw" / "text" / "imported" / name
    edited.write_text("Edited.")
    (home / "mine" / "a.txt").write_text("The lamp is out.")
    assert "was changed since it was imported" in run("mine")
    assert edited.read_text() == "Edited."


def test_chats_wait_until_it_is_said_who_becomes_the_assistant(home: Path) -> None:
    (home / "mine" / "chat.txt").write_text(CHAT)
    assert "--as Ada, or another of Ada (1), Niels (1)" in run("mine")
    assert not (home / "data" / "raw" / "chat.jsonl").exists()
    with pytest.raises(DataError, match=r"called 'Bo'; there are Ada \(1\), Niels \(1\)"):
        run("mine", "--as", "Bo")
    run("mine", "--as", "Ada")
    run("mine")  # remembered


def test_a_file_that_can_no_longer_be_read_keeps_what_was_read_of_it(home: Path) -> None:
    (home / "mine" / "a.txt").write_text("The lamp is lit.")
    (home / "mine" / "b.txt").write_text("The oil burns.")
    run("mine")
    (home / "mine" / "a.txt").write_bytes(bytes(300))
    (home / "data" / "import" / "unpacked-left").mkdir()  # by an import that was killed
    assert "not read: it is binary" in run("mine")
    assert sorted(texts(home).values()) == ["The lamp is lit.\n", "The oil burns.\n"]
    assert not (home / "data" / "import" / "unpacked-left").exists()


def test_private_data_is_replaced_where_that_is_asked_for(home: Path) -> None:
    (home / "mine" / "a.txt").write_text("Write to ada@example.org today.")
    assert "1 e-mail (as ad*@*******.***); --redact replaces it" in run("mine")
    assert "1 e-mail (as ad*@*******.***); replaced in the corpus" in run("mine", "--redact")
    assert list(texts(home).values()) == ["Write to [e-mail] today.\n"]


def test_hostile_files_end_in_a_line_and_the_others_are_read(home: Path) -> None:
    mine = home / "mine"
    (mine / "good.txt").write_text("The lamp is lit.")
    (mine / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    (mine / "deep.json").write_text("[" * 100_000)
    os.mkfifo(mine / "pipe.txt")
    (mine / "link.txt").symlink_to("/etc/passwd")
    (mine / "loop").symlink_to(".")
    entities = "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    bomb = f'<!DOCTYPE x [<!ENTITY a "{"a" * 99}">{entities}]><x><text><p>&j;</p></text></x>'
    made.archive(mine / "bomb.odt", {"content.xml": bomb})
    with zipfile.ZipFile(mine / "slip.zip", "w") as file:
        file.writestr("../../evil.txt", "evil")
        file.writestr("fine.txt", "The oil burns.")
    output = run("mine")
    for line in ("broken.pdf", "deep.json", "bomb.odt"):
        assert f"mine/{line}" in output
    assert output.count("not read: ") == 3
    assert sorted(texts(home).values()) == ["The lamp is lit.\n", "The oil burns.\n"]
    assert not list(home.rglob("evil.txt")) and not list(
        (home / "data" / "import").glob("unpacked-*")
    )


def test_where_nothing_can_be_read_one_line_says_why(home: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not there"):
        run("nowhere")
    (home / "mine" / "a.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"nothing to read among 1 \.jpg; docs/import\.md"):
        run("mine")
    (home / "mine" / "a.pdf").write_bytes(b"x")
    with pytest.raises(DataError, match=r"nothing could be read; .*a\.pdf: it is damaged"):
        run("mine")


def test_an_archive_that_unpacks_to_more_than_there_is_room_for_is_refused(tmp_path: Path) -> None:
    bomb = made.archive(tmp_path / "bomb.zip", {"a.txt": bytes(2**20), "b.txt": bytes(2**20)})
    with pytest.raises(gather.Unreadable, match="more than there is room for"):
        gather.unpack(str(bomb), str(tmp_path / "out"), 2**20 + 1)
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as file:
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    gather.unpack(str(tmp_path / "link.zip"), str(tmp_path / "out2"), 2**20)
    assert not (tmp_path / "out2").exists()


def never_end() -> None:
    while True:
        pass


def eat_memory() -> int:
    return len(bytearray(2**33))


def write_much(path: str) -> None:
    Path(path).write_bytes(bytes(2**21))


def test_a_reader_is_held_to_time_memory_and_disk(tmp_path: Path) -> None:
    def reason(work: Callable[..., object], *arguments: str, time_s: float = 60.0) -> str:
        limits = confine.Limits(time_s, memory_bytes=2**29, file_bytes=2**20)
        (outcome,) = confine.run_each([confine.Job(work, arguments, "")], 1, limits)
        return outcome.reason

    assert "longer than 0.3 s" in reason(never_end, time_s=0.3)
    assert "0.5 GiB of memory" in reason(eat_memory)
    assert "File too large" in reason(write_much, str(tmp_path / "x"))


def test_an_import_that_was_cut_off_goes_on_with_the_files_that_are_left(home: Path) -> None:
    (home / "mine" / "a.txt").write_text("The lamp is lit.")
    (home / "mine" / "b.txt").write_text("The oil burns.")
    run("mine/a.txt")
    (home / "data" / "import" / "manifest.json").unlink()  # as if it had ended before the end
    leftover = home / "data" / "raw" / ".chat.jsonl.tmp-1"
    leftover.write_text("{")
    assert "read now: 1;" in run("mine")
    assert not leftover.exists()
    manifest = json.loads((home / "data" / "import" / "manifest.json").read_text())
    assert [Path(name).name for name in manifest["sources"]] == ["a.txt", "b.txt"]


def test_the_next_command_trains_on_what_there_is(home: Path) -> None:
    (home / "mine" / "a.txt").write_text("The lamp is lit.")
    line = run("mine").splitlines()[-2]
    assert line == "next: nielsgpt pipeline --config mine.json --set 'data.mix_sft={\"primer\":1}'"
