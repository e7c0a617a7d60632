"""nielsgpt new: what it writes can be used at once, and nothing is ever overwritten."""

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import caches, new
from tests.journeys.conftest import ENVIRONMENT

TINY_DATA = ("tokenizer.kind=byte", "data.primer.characters=60000", "data.primer.dialogues=300")


def begin(*words: str) -> Result:
    return CliRunner().invoke(new.command, words)


def build_caches() -> Result:
    sizes = [word for each in (*TINY_DATA, "data.val_fraction=0.1") for word in ("--set", each)]
    return CliRunner().invoke(caches.command, ["-c", "vera.json", *sizes])


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_without_a_terminal_or_options_its_config_builds_caches(root: Path) -> None:
    made = begin("vera")
    assert made.exit_code == 0, made.output
    assert (root / "data/vera/text").is_dir() and (root / "data/vera/chat").is_dir()
    built = build_caches()
    assert built.exit_code == 0, built.output
    assert list((root / "data/cache/vera").rglob("primer_*"))


def test_a_persons_own_text_and_conversations_are_counted_and_cached(root: Path) -> None:
    (root / "notes").mkdir()
    (root / "notes/a.txt").write_text(
        "\n\n".join(f"Bean {n} grew by the gate." for n in range(900))
    )
    talks = [
        {
            "messages": [
                {"role": "user", "content": f"Is bean {n} up?"},
                {"role": "assistant", "content": "Yes."},
            ]
        }
        for n in range(90)
    ]
    (root / "talks.jsonl").write_text("\n".join(map(json.dumps, talks)))
    own = ("--text", "notes", "--chat", "talks.jsonl", "--hours", "2", "--manner", "warm")
    made = begin("vera", "--character", "a patient gardener", *own)
    assert made.exit_code == 0, made.output
    assert "notes: 1 file," in made.output and "--hours 2\n" in made.output
    built = build_caches()
    assert built.exit_code == 0, built.output
    assert list((root / "data/cache/vera").rglob("text_*"))
    assert json.loads((root / "personas/vera.json").read_text())["about"] == "a patient gardener"


@pytest.mark.parametrize("there", ["vera.json", "personas/vera.json"])
def test_nothing_is_overwritten(root: Path, there: str) -> None:
    (root / there).parent.mkdir(exist_ok=True)
    (root / there).write_text("mine")
    before = files(root)
    made = begin("vera")
    assert made.exit_code == 2 and there in made.output
    assert files(root) == before


def test_a_name_that_no_folder_can_have_writes_nothing(root: Path) -> None:
    before = files(root)
    assert begin("../vera").exit_code != 0
    assert files(root) == before


@pytest.mark.parametrize("words", [("--text", "notse.txt"), ("--chat", "tlaks.jsonl")])
def test_a_path_that_is_not_there_is_named_and_nothing_is_made_of_it(
    root: Path, words: tuple[str, str]
) -> None:
    made = begin("vera", *words)
    assert made.exit_code == 2
    assert f"{words[1]} is not there; name a file or folder that exists" in made.output
    assert list(root.iterdir()) == []


def test_a_terminal_asks_for_everything_and_again_for_what_is_not_valid(root: Path) -> None:
    (root / "notes").mkdir()
    typed = ["vera", "a patient gardener", "notse", "notes", "", "zero", "-1", "0.5", ""]
    said = answer_at_terminal(root, "\n".join(typed))
    assert "notse is not there" in said and not (root / "notse").exists()
    assert "-1 is not a number of hours above 0" in said
    assert said.rstrip().endswith("nielsgpt pipeline --config vera.json --hours 0.5")
    settings = json.loads((root / "vera.json").read_text())
    assert settings["data"]["text"]["path"] == "notes"
    assert (root / "data/vera/chat").is_dir()


def answer_at_terminal(folder: Path, typed: str) -> str:
    """What a terminal shows when `nielsgpt new` is run there and this is typed."""
    ours, theirs = pty.openpty()
    code = "from cli.main import main; main()"
    words = [sys.executable, "-c", code, "new"]
    with subprocess.Popen(
        words, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=ENVIRONMENT
    ) as ran:
        os.close(theirs)
        os.write(ours, typed.encode())
        said = b""
        with suppress(OSError):  # Linux reports the end of a terminal as an error
            while piece := os.read(ours, 4096):
                said += piece
    os.close(ours)
    assert ran.returncode == 0, said
    return said.decode()


def test_without_a_terminal_the_name_is_required(root: Path) -> None:
    made = begin()
    assert made.exit_code == 2 and "Missing argument 'NAME'" in made.output
