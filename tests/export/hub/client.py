"""A process that runs commands of nielsgpt against a Hub when told to, for tests to talk to.

The library reads its environment as it is imported, so it needs a process of its own; and one of
them serves many tests, for importing takes seconds. It never waits.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, Self

from tests.data.sources.hubserver import Hub

ROOT = Path(__file__).resolve().parents[3]


class Answer(NamedTuple):
    """A command's exit code, what it printed, and what it expected on stderr."""

    code: int
    out: str
    err: str


class Client:
    """The process, for as long as the `with` lasts."""

    def __init__(self, hub: Hub) -> None:
        environment = {**os.environ, **hub.environment(), "PYTHONPATH": str(ROOT)}
        environment.pop("HF_TOKEN", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.export.hub.client"],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.communicate(timeout=60)

    def run(self, root: Path, *words: str, token: str = "") -> Answer:
        """Run `nielsgpt` with these words in this folder."""
        assert self.process.stdin is not None and self.process.stdout is not None
        order = {"root": str(root), "words": words, "token": token}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return Answer(*json.loads(self.process.stdout.readline()))


def main() -> None:
    """Read orders from stdin, one a line, and answer each with a line."""
    import torch

    from cli.main import main as nielsgpt

    torch.set_num_threads(1)
    time.sleep = lambda seconds: None
    orders, answers = sys.stdin, sys.stdout
    sys.stdin = io.StringIO()
    for line in orders:
        order, code = json.loads(line), 0
        os.environ["NIELSGPT_ROOT"] = order["root"]
        os.environ["HF_TOKEN"] = order["token"]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                nielsgpt(order["words"])
            except SystemExit as leave:
                code = int(leave.code or 0)
        answers.write(json.dumps([code, out.getvalue(), err.getvalue()]) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
