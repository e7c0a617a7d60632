"""`nielsgpt tokenizer`: its options, its report, and what it shows of a text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from tests.conftest import TINY

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs the command on tiny settings; its exit code, what it prints and says on stderr."""
    monkeypatch.setenv("NIELSGPT_ROOT", str(root))
    over = {"training_characters": 20_000, "vocab_size": 400}
    (root / "tiny.json").write_text(json.dumps({**TINY, "tokenizer": over}))

    def run(*words: str) -> tuple[int, str, str]:
        code = 0
        named = [*words, "-c", "tiny.json"]
        try:
            main(["tokenizer", *named])
        except SystemExit as leave:
            code = int(leave.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def meta(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "data/tokenizers/tiny/meta.json").read_text())
    return found


@pytest.mark.parametrize("kind", ["byte", "char", "word", "bpe", "sentencepiece"])
def test_options_stand_for_settings_and_pieces_can_be_seen(
    call: Call, root: Path, kind: str
) -> None:
    assert call("--kind", kind, "--vocab-size", "420")[0] == 0
    assert meta(root)["kind"] == kind
    code, printed, _ = call("encode", "the keeper<|eot|>")
    assert code == 0
    ids = [line.split()[0] for line in printed.splitlines()]
    assert call("decode", *ids)[1] == "the keeper<|eot|>\n"


def test_further_text_is_named_on_the_command_line(call: Call, root: Path) -> None:
    for name in ("a", "b"):
        (root / f"{name}.txt").write_text(f"{name} text\n\n" * 60)
    words = ("--kind", "char", "--input-glob", "a*.txt", "--input-glob", "b*.txt")
    assert call(*words)[0] == 0
    assert meta(root)["trained_on"]["input_globs"]["documents"] > 10
    code, _, said = call("--kind", "char", "--input-glob", "c*.txt")
    assert code == 2
    assert said.splitlines()[-1].startswith("error: tokenizer.input_globs 'c*.txt' matches no file")


def test_a_report_on_files_is_printed_written_and_drawn(call: Call, root: Path) -> None:
    (root / "t.txt").write_text("the keeper lit the lamp\n\n" * 80)
    assert call("--kind", "word")[0] == 0
    code, printed, _ = call("report", "--text-file", "t.txt")
    assert code == 0
    assert "[combined] tokens=" in printed
    assert "characters=2,000" in printed
    assert printed.splitlines()[-1].endswith("report.png")
    assert (root / "data/tokenizers/tiny/report.png").is_file()
    assert json.loads((root / "data/tokenizers/tiny/report.json").read_text())["kind"] == "word"


def test_a_report_without_text_is_on_what_is_held_out_of_the_mixes(call: Call) -> None:
    assert call("--kind", "bpe")[0] == 0
    code, printed, _ = call("report")
    assert code == 0
    assert "[pretrain/primer]" in printed
    assert "[sft/primer]" in printed


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("report",), "error: no tokenizer in"),
        (("encode", "a"), "error: no tokenizer in"),
        (("--kind", "morse"), "'morse' is not one of 'byte', 'char', 'word', 'bpe'"),
        (("--vocab-size", "12"), "tokenizer.vocab_size"),
        (("--kind", "word", "--vocab-size", "90000"), "is too large for this corpus"),
        (("--kind", "char", "report"), "options go after the word report"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    call: Call, words: tuple[str, ...], line: str
) -> None:
    code, printed, said = call(*words)
    assert (code, printed) == (2, "")
    assert line in said.splitlines()[-1]
    assert "Traceback" not in said


@pytest.mark.parametrize("options", [("--text-file", "none.txt"), ("--text-file", "empty.txt")])
def test_a_report_on_no_text_is_a_line(call: Call, root: Path, options: tuple[str, ...]) -> None:
    (root / "empty.txt").write_text("")
    assert call("--kind", "byte")[0] == 0
    code, printed, said = call("report", *options)
    assert (code, printed) == (2, "")
    assert len(said.splitlines()) == 1


def test_an_id_that_is_none_is_a_line(call: Call) -> None:
    assert call("--kind", "byte")[0] == 0
    code, _, said = call("decode", "104", "300")
    assert code == 2
    assert said == "error: the id 300 is not in the vocabulary of 260\n"
