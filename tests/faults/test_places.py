"""Odd folders and odd surroundings: the whole pipeline makes the very same model there."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nielsgpt.config.settings import Settings
from nielsgpt.pipeline import pipeline
from nielsgpt.system.workspace import Workspace
from tests.faults.disk import tree
from tests.faults.test_endings import weights
from tests.journeys.conftest import ENVIRONMENT, launch

CODE = "from cli.main import main; main()"
NOWHERE = "/proc/nowhere"  # a folder that not even root can make
SLOW = pytest.mark.slow
NAMES = {
    "all at once": 'it\'s "two"  Größe \U0001f980\n$HOME `x` [a]*? 100%d {0}',
    "no UTF-8": os.fsdecode(b"caf\xe9"),
    "spaces": " two  spaces ",
    "quotes": 'it\'s "quoted" `and` $HOME',
    "umlauts": "Größe naïve",
    "emoji": "\U0001f980 \U0001f469\u200d\U0001f467",
    "a newline": "one\ntwo",
    "a dash": "-rf",
    "a pattern": "[a-z]*?{b}",
    "a percent sign": "100%d %(name)s {0}",
    "a long name": "n" * 255,
    "a long path": "/".join(["d" * 200] * 14),
}


@pytest.mark.parametrize(
    "name", [*list(NAMES)[:2], *(pytest.param(name, marks=SLOW) for name in list(NAMES)[2:])]
)
def test_a_folder_of_any_name_holds_the_same_model(
    name: str,
    settings: Settings,
    examined: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("ERROR", "nielsgpt")  # a report cannot hold what is no UTF-8
    workspace = Workspace(tmp_path / NAMES[name], settings)
    pipeline.run(workspace)
    assert weights(workspace) == weights(Workspace(examined, settings))


def test_folders_that_are_links_to_other_disks_hold_the_same_model(
    settings: Settings, examined: Path, tmp_path: Path
) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    root.mkdir()
    for name in ("data", "checkpoints", "runs"):
        (other / name).mkdir(parents=True)
        (root / name).symlink_to(other / name)
    (tmp_path / "link").symlink_to(root)
    workspace = Workspace(tmp_path / "link", settings)
    pipeline.run(workspace)
    assert weights(workspace) == weights(Workspace(examined, settings))
    assert all((root / name).is_symlink() for name in ("data", "checkpoints", "runs"))


@pytest.mark.parametrize("year", [1990, 2090])
def test_a_clock_that_was_wrong_makes_nothing_stale(
    year: int, copy: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    second = (year - 1970) * 365 * 86_400
    for path in copy.root.rglob("*"):
        os.utime(path, (second, second))
    before = tree(copy.root)
    pipeline.run(copy)
    assert tree(copy.root) == before
    assert caplog.text.count("up to date") == 6


@dataclass(frozen=True)
class Place:
    """What surrounds a command: variables (None is unset), how it is started, its streams."""

    env: dict[str, str | None] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    streams: dict[str, Any] = field(default_factory=dict)


def shell(text: str) -> tuple[str, ...]:
    return ("sh", "-c", f'{text} exec "$@"', "sh")


PLACES = {
    "no HOME": Place({"HOME": None, "NIELSGPT_CACHE": None, "XDG_CACHE_HOME": NOWHERE}),
    "a HOME that cannot be written": Place({"HOME": NOWHERE, "NIELSGPT_CACHE": None}),
    "no temporary folder": Place({"TMPDIR": NOWHERE}),
    "the locale C": Place({"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"}),
    "streams of ASCII": Place({"PYTHONIOENCODING": "ascii"}),
    "a far time zone": Place({"TZ": "Pacific/Kiritimati"}),
    "hardly any variables": Place(dict.fromkeys(os.environ) | {"PATH": os.environ["PATH"]}),
    "a closed stdin": Place(before=shell("exec <&-;")),
    "a closed stdout": Place(before=shell("exec >&-;")),
    "a closed stderr": Place(before=shell("exec 2>&-;")),
    "a strict umask": Place(before=shell("umask 0777; umask 077;")),
    "few open files": Place(before=shell("ulimit -n 48;")),
    "no /dev/shm": Place(before=("unshare", "-m", *shell("umount -l /dev/shm && "))),
}


@SLOW
@pytest.mark.parametrize("name", PLACES)
def test_in_odd_surroundings_the_command_makes_the_same_model(
    name: str, settings: Settings, examined: Path, tmp_path: Path
) -> None:
    place = PLACES[name]
    if place.before[:1] == ("unshare",) and os.geteuid():
        pytest.skip("only root may take /dev/shm away")
    more = settings.model_copy(update={"data": settings.data.model_copy(update={"workers": 2})})
    (tmp_path / "tiny.json").write_text(more.model_dump_json())
    env = {k: v for k, v in (ENVIRONMENT | place.env).items() if v is not None}
    ran = subprocess.run(
        [*place.before, sys.executable, "-c", CODE, "pipeline", "-c", "tiny.json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), **env},
        capture_output=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr
    assert b"Traceback" not in ran.stderr
    assert weights(Workspace(tmp_path, settings)) == weights(Workspace(examined, settings))


@SLOW
def test_started_in_a_folder_that_cannot_be_written_it_works_in_the_one_that_is_named(
    settings: Settings, examined: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.json").write_text(settings.model_dump_json())
    words = ("pipeline", "-c", str(tmp_path / "tiny.json"))
    env = {**ENVIRONMENT, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    named = {**env, "NIELSGPT_ROOT": str(tmp_path / "there")}
    refused = launch(Path("/proc/self"), *words, env=env)
    assert refused.returncode == 2
    assert "cannot be written" in refused.stderr.splitlines()[-1]
    assert "NIELSGPT_ROOT" in refused.stderr.splitlines()[-1]
    ran = launch(Path("/proc/self"), *words, env=named)
    assert ran.returncode == 0, ran.stderr
    there = Workspace(tmp_path / "there", settings)
    assert weights(there) == weights(Workspace(examined, settings))
