"""The environment decides nothing: a backend, a folder of a person's modules, another's ranks."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

from cli import main
from cli.options import PATH, HomePath
from tests.conftest import TINY
from tests.journeys.conftest import ENVIRONMENT, Command, launch

SHADOWS_OF_CLI = ("pathlib", "random", "queue", "click", "numpy", "torch", "nielsgpt")
LEFT = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29591"}
SHADOWS = ("random", "types", "queue", "numpy", "torch", "tokenize", "datasets", "cli", "nielsgpt")


@pytest.mark.parametrize(
    "backend",
    ["module://matplotlib_inline.backend_inline", pytest.param("TkAgg", marks=pytest.mark.slow)],
)
def test_plots_are_drawn_whatever_backend_the_environment_names(
    nielsgpt: Command, home: Path, backend: str
) -> None:
    environment = {**ENVIRONMENT, "MPLBACKEND": backend}
    words = ("pretrain", "-c", "tiny.json", "--set", "training.report=true")
    ran = nielsgpt(*words, env=environment)
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
    assert "failed" not in ran.stderr
    assert list(home.glob("runs/*/plots/*.png"))


def test_what_cannot_be_drawn_or_reported_ends_neither_exam_nor_tokenizer_report(
    trained: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(trained, home)
    for run in (home / "runs").iterdir():
        (run / "report.html").mkdir()
    (home / "data/tokenizers/tiny/report.png").mkdir()
    # Other drawing options than nielsgpt's, which need a program that may be missing here.
    (home / "matplotlibrc").write_text("text.usetex: True\n")
    report = ("--set", "training.report=true", "--set", "exam.items_per_section=3")
    for words, what in ((("exam", *report), "the report"), (("tokenizer", "report"), "the plot")):
        ran = launch(home, *words, "-c", "tiny.json")
        assert ran.returncode == 0, ran.stderr
        assert ran.stderr.count(f"{what} failed (") == 1
        assert "latex" not in ran.stderr
    assert json.loads((home / "checkpoints/tiny/exam.json").read_text())


COMMANDS = (
    "caches -c tiny.json --set data.workers=2",
    "bench -c tiny.json --grid grid.json --seconds-each 6 --max-micro-batch 1",
    "pretrain -c tiny.json --nproc 2 --set device.parallel=ddp",
)


@pytest.mark.parametrize(
    "words", [COMMANDS[0], *(pytest.param(words, marks=pytest.mark.slow) for words in COMMANDS[1:])]
)
def test_nothing_is_imported_from_the_current_folder(tmp_path: Path, words: str) -> None:
    for name in SHADOWS:
        text = f"open({str(tmp_path / 'imported')!r}, 'a').write({name!r})\nraise SystemExit(3)\n"
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    grid = [{"n_layer": 1, "n_head": 2, "n_embd": 32, "context_length": 32}]
    (tmp_path / "grid.json").write_text(json.dumps(grid))
    # As the installed command starts: Python puts the command's folder first, not this one.
    command = [sys.executable, "-P", "-c", "from cli.main import main; main()", *words.split()]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT)
    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / "imported").exists()


def test_python_m_cli_imports_nothing_from_the_current_folder_either(home: Path) -> None:
    for name in SHADOWS_OF_CLI:
        (home / f"{name}.py").write_text("raise SystemExit(3)\n")
    command = [sys.executable, "-m", "cli", "sources", "-c", "tiny.json"]
    path = str(Path(main.__file__).parents[1])
    environment = {**ENVIRONMENT, "PYTHONPATH": path}
    ran = subprocess.run(command, cwd=home, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("columns", ["0", pytest.param("80", marks=pytest.mark.slow)])
def test_no_width_of_the_terminal_swallows_a_line(home: Path, columns: str) -> None:
    ours, its = pty.openpty()
    environment = {**ENVIRONMENT, "COLUMNS": columns, "TERM": "xterm"}
    command = [sys.executable, "-P", "-c", "from cli.main import main; main()"]
    with subprocess.Popen(
        [*command, "pretrain", "-c", "tiny.json"], cwd=home, stderr=its, env=environment
    ) as training:
        os.close(its)
        said = b""
        with suppress(OSError):  # the other end is closed
            while read := os.read(ours, 65536):
                said += read
        os.close(ours)
    assert training.returncode == 0
    assert b"step 6/6: validation loss" in said


@pytest.mark.parametrize(
    ("left", "code", "says"),
    [
        ({"RANK": "1", "WORLD_SIZE": "4"}, 0, "training alone: RANK, WORLD_SIZE set"),
        (
            {"RANK": "x", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"},
            2,
            "RANK is 'x', not a number; unset RANK WORLD_SIZE MASTER_ADDR MASTER_PORT",
        ),
        ({**LEFT, "MASTER_PORT": ""}, 2, "MASTER_PORT is '', not a number; unset RANK WORLD_SIZE"),
        ({**LEFT, "RANK": "5"}, 2, "RANK is 5, not below WORLD_SIZE, which is 2; unset RANK"),
        ({**LEFT, "WORLD_SIZE": "0"}, 2, "RANK is 1, not below WORLD_SIZE, which is 0; unset"),
        (
            {**LEFT, "LOCAL_WORLD_SIZE": "0"},
            2,
            "LOCAL_RANK is 0, not below LOCAL_WORLD_SIZE, which is 0; unset RANK WORLD_SIZE",
        ),
    ],
)
def test_what_another_launcher_left_behind_neither_waits_nor_fails_raw(
    nielsgpt: Command, left: dict[str, str], code: int, says: str
) -> None:
    ran = nielsgpt("pretrain", "-c", "tiny.json", env={**ENVIRONMENT, **left})
    assert ran.returncode == code
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


def test_nproc_and_ranks_of_another_launcher_are_a_contradiction_that_waits_for_nobody(
    nielsgpt: Command,
) -> None:
    ran = nielsgpt("pretrain", "-c", "tiny.json", "--nproc", "2", env={**ENVIRONMENT, **LEFT})
    assert ran.returncode == 2
    assert "--nproc starts processes of its own, but RANK and WORLD_SIZE are set" in ran.stderr


def test_a_rank_that_waits_for_others_says_so_and_how_to_train_alone(home: Path) -> None:
    command = [sys.executable, "-P", "-c", "from cli.main import main; main()"]
    with subprocess.Popen(
        [*command, "pretrain", "-c", "tiny.json"],
        cwd=home,
        stderr=subprocess.PIPE,
        text=True,
        env={**ENVIRONMENT, **LEFT},
    ) as waiting:
        assert waiting.stderr is not None
        line = next(line for line in waiting.stderr if "waiting" in line)
        waiting.kill()
    assert line.startswith("process 1 of 2: waiting up to 20 minutes for the others at localhost:")
    assert line.endswith("unset RANK and WORLD_SIZE to train alone\n")


def test_every_path_option_of_every_command_takes_a_tilde() -> None:
    def options(group: click.Group) -> Iterator[tuple[str, click.Parameter]]:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from ((name, option) for option in command.params)
            if isinstance(command, click.Group):
                yield from options(command)

    paths = [(name, o.type) for name, o in options(main.nielsgpt) if isinstance(o.type, click.Path)]
    assert len(paths) > 20
    assert [name for name, kind in paths if not isinstance(kind, HomePath)] == []
    home = Path.home()
    assert [PATH.convert(text, None, None) for text in ("~/a", "~", "a/~", "~nobody.here")] == [
        *(home / "a", home, Path("a/~"), Path("~nobody.here")),
    ]


def test_a_tilde_in_the_root_is_the_home_folder(nielsgpt: Command, home: Path) -> None:
    environment = {**ENVIRONMENT, "NIELSGPT_ROOT": "~/work", "HOME": str(home)}
    (home / "tiny.json").rename(home / "mine.json")
    (home / "over.json").write_text('{"extends": "~/mine.json"}')
    assert nielsgpt("sources", "-c", "~/over.json", env=environment).returncode == 0
    ran = nielsgpt("caches", "-c", "~/over.json", env=environment)
    assert ran.returncode == 0, ran.stderr
    assert (home / "work" / "data" / "cache").is_dir()
    assert not (home / "~").exists()
