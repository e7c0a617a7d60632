"""nielsgpt new: what it writes can be used at once, and nothing is ever overwritten."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import caches, new

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
    assert "notes: 1 files" in made.output and "--hours 2\n" in made.output
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
