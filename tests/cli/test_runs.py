"""`nielsgpt runs`: what it prints, what it writes, and what it says of a wrong id."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.main import main
from nielsgpt.system.atomic_files import write_json
from tests.report.conftest import FIRST, SECOND, write_exam, write_run

Runs = Callable[..., tuple[int, str, str]]


@pytest.fixture
def runs(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runs:
    """Runs the command; its exit code, what it prints and what it says on stderr."""
    monkeypatch.setenv("NIELSGPT_ROOT", str(root))

    def call(*words: str) -> tuple[int, str, str]:
        code = 0
        try:
            main(["runs", *words])
        except SystemExit as leave:
            code = int(leave.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_without_runs_the_next_command_is_named(runs: Runs) -> None:
    assert runs() == (0, "no runs yet; 'nielsgpt pipeline' makes one\n", "")


def test_runs_are_listed_newest_first_in_columns(runs: Runs, root: Path) -> None:
    write_run(root / "runs", FIRST, outcome="stopped", max_steps=900, seconds=200.0)
    write_run(root / "runs", SECOND, eval_every=0, ended_at="2020-01-01T00:00:00+00:00")
    code, printed, _ = runs()
    head, newest, oldest = printed.splitlines()
    assert code == 0
    assert head.split("  ")[0] == "id"
    assert newest.split()[:3] == [SECOND, "tiny", "sft"]
    assert newest.split()[-2] == "done"
    assert newest.endswith("d")
    assert oldest.split()[:6] == [FIRST, "tiny", "sft", "6", "of", "900"]
    assert oldest.split()[-3:-1] == ["3m20s", "stopped"]
    assert head.index("outcome") == newest.index("done") == oldest.index("stopped")


def test_show_writes_the_page_with_the_runs_own_exam_and_prints_where(
    runs: Runs, root: Path
) -> None:
    folder = write_run(root / "runs", FIRST)
    write_run(root / "runs", SECOND, steps=0)
    write_exam(root, FIRST)
    code, printed, _ = runs("show", "aaaa")
    assert (code, printed) == (0, f"{folder / 'report.html'}\n")
    assert "known facts" in (folder / "report.html").read_text(encoding="utf-8")
    assert (folder / "plots" / "loss.png").is_file()
    _, printed, _ = runs("show", "latest")
    assert printed == f"{root / 'runs' / SECOND / 'report.html'}\n"
    assert "known facts" not in Path(printed.strip()).read_text(encoding="utf-8")


def test_compare_prints_the_figures_and_the_settings_that_differ(runs: Runs, root: Path) -> None:
    write_run(root / "runs", FIRST, settings={"seed": 1})
    write_run(root / "runs", SECOND, settings={"seed": 2})
    code, printed, _ = runs("compare", "aaaa", "bbbb")
    *table, path = printed.splitlines()
    lines = {line.split("  ")[0]: line.split()[-2:] for line in table}
    assert code == 0
    assert table[0].split() == ["aaaa1111", "bbbb2222"]
    assert lines["seed"] == ["1", "2"]
    assert lines["steps"] == ["6", "6"]
    assert "model.n_layer" not in lines
    assert path == str(root / "runs" / "compare-aaaa1111-bbbb2222.html")
    assert Path(path).is_file()


@pytest.mark.parametrize("names", [(), ("aaaa",), ("aaaa", FIRST)])
def test_comparing_fewer_than_two_runs_is_one_line(
    runs: Runs, root: Path, names: tuple[str, ...]
) -> None:
    write_run(root / "runs", FIRST)
    code, printed, said = runs("compare", *names)
    assert (code, printed) == (2, "")
    assert said == (
        f"error: compare takes 2 to 8 different runs, not {min(1, len(names))}; "
        "see 'nielsgpt runs compare --help'\n"
    )


def test_a_run_that_is_not_there_is_one_line_and_nothing_is_written(runs: Runs, root: Path) -> None:
    write_run(root / "runs", FIRST)
    code, printed, said = runs("show", "cccc")
    assert (code, printed) == (2, "")
    assert said == f"error: no run 'cccc' in {root / 'runs'}; 'nielsgpt runs' lists them\n"
    assert not (root / "runs" / FIRST / "report.html").exists()


def test_a_folder_that_is_no_run_does_not_disturb_the_list(runs: Runs, root: Path) -> None:
    write_run(root / "runs", FIRST)
    (root / "runs" / "broken").mkdir()
    (root / "runs" / "broken" / "run_meta.json").write_text("{", encoding="utf-8")
    write_json(root / "runs" / "listed" / "run_meta.json", ["no", "object"])
    code, printed, _ = runs()
    assert code == 0
    assert [line.split()[0] for line in printed.splitlines()] == ["id", "listed", "broken", FIRST]
