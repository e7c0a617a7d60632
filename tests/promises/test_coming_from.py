"""The command lines of docs/coming-from.md run as they are printed, on a small model."""

import importlib.util
import json
import random
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import nielsgpt
from nielsgpt.config import load
from tests.conftest import TINY

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coming-from.md"
SPAN = re.compile(r"`(nielsgpt [^`\n]+)`")
ELSEWHERE = {
    "a network": (
        "hub",
        "web.json",
        "tinystories.json",
        "wikitext",
        "download",
        "fineweb",
        "ancient_mix",
    ),
    "a terminal or a browser": ("nielsgpt chat", "nielsgpt serve"),
    "minutes of measuring": (
        "nielsgpt bench",
        "nielsgpt plan",
        "--hours",
        "smoke.json",
        "alice_v2",
    ),
    "several processes": ("--nproc",),
    "another file of the reader": ("NAME",),
}
TRAINED = ("x.pt", "model.pt", "checkpoints/first/best.pt")
DRAW = random.Random(1)
WORDS = ["".join(DRAW.choices("abcdefghijklmnop", k=4)) for _ in range(30_000)]


def sections() -> dict[str, list[str]]:
    """The command lines below each heading, but those that need what a test has not."""
    absent = [word for words in ELSEWHERE.values() for word in words]
    absent += [] if importlib.util.find_spec("numba") else ["verify-jit"]
    found = {}
    for part in PAGE.read_text("utf-8").split("\n## ")[1:]:
        lines = dict.fromkeys(SPAN.findall(part))
        found[part.partition("\n")[0]] = [
            line for line in lines if not any(word in line for word in absent)
        ]
    return {name: lines for name, lines in found.items() if lines}


def run(line: str) -> None:
    words = shlex.split(line)[1:]
    ran = CliRunner().invoke(nielsgpt, words, obj=words)
    quiet = ran.exception is None or isinstance(ran.exception, SystemExit)
    assert quiet and ran.exit_code == 0, f"{line}: {ran.exception!r}: {ran.output}"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a reader has it: texts, configs, and a model that was trained with mine.json."""
    folder = tmp_path_factory.mktemp("reader")
    text = "\n\n".join(" ".join(WORDS[at : at + 40] * 2) for at in range(0, len(WORDS), 40))
    (folder / "x").mkdir()
    (folder / "data/micro").mkdir(parents=True)
    for name in ("x.txt", "x/notes.md", "data/micro/alice.txt"):
        (folder / name).write_text(text)
    seldom = {"eval_every": 500, "checkpoint_every": 500, "batch_size": 2}
    over = {"model": {"n_embd": 16, "n_layer": 1}, "exam": {"replies": 2}}
    training = {"pretrain": seldom, "sft": seldom}
    small = load.merge(TINY, over | {"training": training})
    for name in ("mine", "quickstart"):
        (folder / f"{name}.json").write_text(json.dumps(small | {"name": name}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("nielsgpt pretrain --config mine.json")
        run("nielsgpt sft --config mine.json")
        run("nielsgpt micro download names --invent")
        run("nielsgpt micro train --scenario names --steps 4")
    for name in TRAINED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".pt", ".json"):
            source = folder / f"checkpoints/mine/pretrain/best{suffix}"
            shutil.copy(source, (folder / name).with_suffix(suffix))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("section", sections())
def test_the_lines_of_a_section_run_as_printed(
    section: str, reader: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(reader, tmp_path / "reader")
    monkeypatch.chdir(tmp_path / "reader")
    for line in sections()[section]:
        run(line)


def test_most_sections_have_lines_that_run_here() -> None:
    assert len(sections()) > 4
    assert sum(map(len, sections().values())) > 20
