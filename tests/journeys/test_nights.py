"""The slow proof of a night's promises, with a watch from outside: it ends when it said, and saves
what it has when it is told to go."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.journeys.conftest import ENVIRONMENT, launch

LOG_EVERY = 10  # steps between two rows of metrics.csv
SMALL = ("-c", "smoke.json", "--set", "name=night")
ON_MACHINE = {k: v for k, v in ENVIRONMENT.items() if k != "OMP_NUM_THREADS"}


def step(folder: Path) -> int:
    path = folder / "checkpoints/night/pretrain/latest.json"
    return int(json.loads(path.read_text(encoding="utf-8"))["step"])


def rates(folder: Path) -> list[float]:
    (run,) = (folder / "runs").iterdir()
    with (run / "metrics.csv").open() as file:
        return [float(row["lr"]) for row in csv.DictReader(file)]


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """`nielsgpt words` in a process group of its own, once it has made its first steps."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from cli.main import main; main()", *words],
        cwd=folder,
        env=ON_MACHINE,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not [file for file in folder.glob("runs/*/metrics.csv") if file.stat().st_size]:
        assert process.poll() is None, "it ended before its first step"
        time.sleep(0.1)
    return process


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_time_budget_is_kept_within_three_percent_and_the_rate_is_cooled(tmp_path: Path) -> None:
    assert launch(tmp_path, "caches", *SMALL, timeout=300).returncode == 0
    began = time.monotonic()
    ran = launch(
        tmp_path, "pretrain", *SMALL, "--minutes", "2", "--set", "training.report=false",
        timeout=400, env=ON_MACHINE,
    )  # fmt: skip
    taken = time.monotonic() - began
    assert ran.returncode == 0, ran.stderr
    assert taken == pytest.approx(120, rel=0.03)
    assert rates(tmp_path)[-1] <= 0.0501 * max(rates(tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("after_s", [0.0, 5.0, 15.0])
def test_a_run_told_to_end_saves_within_ten_seconds_and_goes_on(
    after_s: float, tmp_path: Path
) -> None:
    words = ("pretrain", *SMALL, "--set", "training.pretrain.max_steps=100000")
    assert launch(tmp_path, "caches", *SMALL, timeout=300).returncode == 0
    process = start(tmp_path, *words)
    time.sleep(after_s)
    asked = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - asked < 10
    assert process.returncode == 143, said
    saved = step(tmp_path)
    assert saved >= 1
    more = f"training.pretrain.max_steps={saved + 5}"
    ran = launch(tmp_path, *words[:-1], more, env=ON_MACHINE, timeout=200)
    assert ran.returncode == 0, ran.stderr
    assert step(tmp_path) == saved + 5


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("stalls_s", [(3.0,), (15.0,), (1.0, 4.0, 2.0)], ids=str)
def test_a_suspended_process_costs_its_own_time_and_the_rate_still_falls_smoothly(
    stalls_s: tuple[float, ...], tmp_path: Path
) -> None:
    """Ctrl-Z, a laptop's lid, a paused container: the process group is stopped and resumed."""
    assert launch(tmp_path, "caches", *SMALL, timeout=300).returncode == 0
    short = ("--minutes", "0.75", "--set", "training.report=false")
    began = time.monotonic()
    process = start(tmp_path, "pretrain", *SMALL, *short)
    for stall_s in stalls_s:
        time.sleep(4)
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(stall_s)
        os.killpg(process.pid, signal.SIGCONT)
    _, said = process.communicate(timeout=150)
    assert process.returncode == 0, said
    taken = time.monotonic() - began
    assert 0.9 * 45 < taken < 1.03 * 45 + sum(stalls_s), "the budget is used, and hardly passed"
    rate = rates(tmp_path)
    falls = [before - after for before, after in itertools.pairwise(rate)]
    assert max(falls) <= LOG_EVERY * 0.1 * max(rate)
    assert rate[-1] <= 0.0501 * max(rate)
