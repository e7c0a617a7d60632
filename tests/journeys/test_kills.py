"""The slow proof: twenty kills at random moments of a compiled run change no bit of it."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.conftest import ENVIRONMENT, launch

KILLS = 20
WORDS = ("pipeline", "-c", "smoke.json", "--set", "device.compile=auto", "--set", "name=killed")


def weights(folder: Path) -> str:
    paths = [f"checkpoints/killed/{phase}/best.pt" for phase in ("pretrain", "sft")]
    return launch(folder, "checkpoint", "hash", *paths).stdout


def start(folder: Path) -> "subprocess.Popen[bytes]":
    code = "from cli.main import main; main()"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(
        [sys.executable, "-c", code, *WORDS], cwd=folder, env=ENVIRONMENT, **quiet
    )


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_twenty_kills_at_random_moments_change_no_bit(tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for folder in (straight, killed):
        folder.mkdir()
    ran = launch(straight, *WORDS, timeout=1200)
    assert ran.returncode == 0, ran.stderr
    moments, struck = random.Random(20), 0
    while struck < KILLS:
        process = start(killed)
        try:
            assert process.wait(timeout=moments.uniform(0.5, 25)) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            struck += 1
        else:  # it came to its end between two kills: another one begins
            assert weights(killed) == weights(straight) != ""
            for name in ("checkpoints", "runs", "data"):
                shutil.rmtree(killed / name)
    ran = launch(killed, *WORDS, timeout=1200)
    assert ran.returncode == 0, ran.stderr
    assert weights(killed) == weights(straight) != ""
