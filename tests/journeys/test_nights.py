"""The slow proof of a night's promises, with a watch from outside: it ends when it said, and saves
what it has when it is told to go."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.journeys.conftest import ENVIRONMENT, launch

SMALL = ("-c", "smoke.json", "--set", "name=night")
ON_MACHINE = {k: v for k, v in ENVIRONMENT.items() if k != "OMP_NUM_THREADS"}


def rates(folder: Path) -> list[float]:
    (run,) = (folder / "runs").iterdir()
    with (run / "metrics.csv").open() as file:
        return [float(row["lr"]) for row in csv.DictReader(file)]


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
@pytest.mark.parametrize("after_s", [12.0, 21.0, 33.0])
def test_a_run_told_to_end_saves_within_ten_seconds_and_goes_on(
    after_s: float, tmp_path: Path
) -> None:
    words = ("pretrain", *SMALL, "--set", "training.pretrain.max_steps=100000")
    assert launch(tmp_path, "caches", *SMALL, timeout=300).returncode == 0
    code = "from cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env=ON_MACHINE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(after_s)
    asked = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - asked < 10
    assert process.returncode == 143, said
    shown = launch(tmp_path, "checkpoint", "show", "checkpoints/night/pretrain/latest.pt")
    assert shown.returncode == 0, shown.stderr
