"""docs/formats.md reads the files as they are: its programs run, with nothing of nielsgpt."""

import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text("utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda text: text.split("\n")[0][7:])
def test_a_program_of_the_page_reads_what_a_run_wrote(program: str, trained: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-I", "-c", program.replace("quickstart", "tiny")],
        cwd=trained,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr


# What stands beside another file, which the page names with it.
BESIDE = (".lock", ".mask.bin", ".idx.npy")


def test_the_page_names_every_file_that_a_whole_pipeline_leaves(trained: Path) -> None:
    spans = re.findall(r"`([^`\n]+)`", PAGE)
    named = [re.sub(r"<\w+>", "*", span).replace("0000500", "*") for span in spans]
    named = [pattern.replace("**/", "*") for pattern in named]
    files = [path.relative_to(trained) for path in trained.rglob("*/*") if path.is_file()]
    assert len(files) > 30
    for file in files:
        whole = any(fnmatch(file.as_posix(), pattern) for pattern in named)
        beside = any(file.name.endswith(end) for end in BESIDE)
        assert whole or beside, file
