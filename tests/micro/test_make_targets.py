import re
import shutil
from pathlib import Path

import pytest

from tests.rules.test_makefile import Checkout

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.mark.parametrize("target", ["train", "sample", "benchmark"])
def test_a_micro_target_hands_scenario_backend_and_more_to_its_command(
    tmp_path: Path, target: str
) -> None:
    words = ("SCENARIO=alice", "BACKEND=numpy", "CONFIG=my a.json", "ARGS=-n 3 -i 'Alice was'")
    done = Checkout(tmp_path).make(f"micro-{target}", *words)
    handed = ["micro", target, "--scenario", "alice", "--backend", "numpy", "--config", "my a.json"]
    handed += ["-n", "3", "-i", "Alice was"]
    assert (done.returncode, done.stdout) == (0, "".join(f"[{word}]" for word in handed))


def test_a_micro_target_without_words_takes_the_defaults(tmp_path: Path) -> None:
    assert Checkout(tmp_path).make("micro-train").stdout == "[micro][train]"


def test_help_lists_the_micro_targets(tmp_path: Path) -> None:
    listed = re.findall(r"^  make (micro-\w+) +\S", Checkout(tmp_path).make().stdout, re.M)
    assert listed == ["micro-train", "micro-sample", "micro-benchmark"]
