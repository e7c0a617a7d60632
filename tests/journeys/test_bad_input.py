"""Bad input: exit 2, one line that names the thing and the way out, nothing lost."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad.running import put
from tests.bad.test_mistakes import MISTAKES
from tests.journeys.conftest import ENVIRONMENT, Command, launch

# A handful of those that tests/bad tries within one process.
IN_A_PROCESS = (
    "settings: 'modle.n_layer=3'",
    "config: UTF-16",
    "chat: a broken line",
    "text: a special token",
    "words: pipelin",
    "words: chat",
)


@pytest.mark.parametrize("name", IN_A_PROCESS)
def test_a_mistake_in_a_process_of_its_own_is_one_line(
    name: str, home: Path, nielsgpt: Command
) -> None:
    mistake = MISTAKES[name]
    put(home, mistake.files)
    ran = nielsgpt(*shlex.split(mistake.words), input=mistake.typed.decode())
    lines = ran.stderr.splitlines()
    assert ran.returncode == mistake.code, ran.stderr
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    assert "Traceback" not in ran.stderr
    assert [word for word in mistake.says if word not in lines[-1]] == []


def test_a_damaged_meta_is_built_anew(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(trained), str(folder)], check=True)
    put(folder, {"data/cache/tiny/streams/primer_train.meta.json": "{"})
    ran = launch(folder, "pretrain", "-c", "tiny.json", "--more-steps", "1")
    assert ran.returncode == 0, ran.stderr
    assert "building" in ran.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(home: Path, nielsgpt: Command) -> None:
    home.chmod(0o500)
    ran = nielsgpt("tokenizer", "-c", "tiny.json")
    home.chmod(0o700)
    assert ran.returncode == 2
    assert "cannot be written" in ran.stderr


def test_no_disk_space_ends_the_run_with_the_last_checkpoint_intact(
    trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(trained), str(folder)], check=True)
    before = launch(folder, "checkpoint", "hash", "checkpoints/tiny/pretrain/latest.pt").stdout
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "from cli.main import main; main()"
    )
    more = ("--set", "training.pretrain.max_steps=8")
    ran = subprocess.run(
        [sys.executable, "-c", code, "pretrain", "-c", "tiny.json", *more],
        cwd=folder, env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    assert "no space left to write" in ran.stderr
    after = launch(folder, "checkpoint", "hash", "checkpoints/tiny/pretrain/latest.pt").stdout
    assert before == after != ""
    done = launch(folder, "pretrain", "-c", "tiny.json", *more)
    assert done.returncode == 0, done.stderr


def test_two_runs_at_once_on_one_folder_the_second_is_refused(home: Path) -> None:
    words = ["-c", "from cli.main import main; main()", "pretrain", "-c", "tiny.json"]
    first = subprocess.Popen(
        [sys.executable, *words, "--set", "training.pretrain.max_steps=100000"],
        cwd=home, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert first.stderr is not None
    for line in first.stderr:
        if "step 3/" in line:
            break
    second = launch(home, "pretrain", "-c", "tiny.json")
    first.kill()
    first.communicate()
    assert second.returncode == 2
    assert f"is in use by process {first.pid}" in second.stderr
