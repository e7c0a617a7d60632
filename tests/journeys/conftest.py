"""A journey runs the command line in a process of its own, as a person would."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TINY

Ran = subprocess.CompletedProcess[str]
Command = Callable[..., Ran]
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "NO_COLOR": "1",
    "PYTHONWARNINGS": "error::DeprecationWarning:nielsgpt",
}


def launch(folder: Path, *words: str, **over: Any) -> Ran:
    """`nielsgpt words` in the folder."""
    code = "from cli.main import main; main()"
    options = {"text": True, "capture_output": True, "timeout": 120, "env": ENVIRONMENT, **over}
    return subprocess.run([sys.executable, "-c", code, *words], cwd=folder, **options)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with the tiny config in it."""
    (tmp_path / "tiny.json").write_text(json.dumps(TINY))
    return tmp_path


@pytest.fixture
def nielsgpt(home: Path) -> Command:
    """The command, in that folder."""

    def call(*words: str, **over: Any) -> Ran:
        return launch(home, *words, **over)

    return call


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole tiny pipeline has run."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.json").write_text(json.dumps(TINY))
    ran = launch(folder, "pipeline", "-c", "tiny.json")
    assert ran.returncode == 0, ran.stderr
    (folder / "printed.txt").write_text(ran.stdout)
    return folder
