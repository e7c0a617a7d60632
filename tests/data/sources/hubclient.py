"""A process that reads datasets of a Hub when told to, for tests to talk to.

The loading libraries read their environment when they are imported, so they need a process of
their own; and one of them serves many tests, for importing them takes seconds. It never waits.
"""

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from tests.data.sources.hubserver import Hub

ROOT = Path(__file__).resolve().parents[3]


class Client:
    """The process, for as long as the `with` lasts."""

    def __init__(self, hub: Hub, offline: bool = False) -> None:
        command = [sys.executable, "-m", "tests.data.sources.hubclient"]
        environment = {**os.environ, **hub.environment(offline), "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        _, said = self.process.communicate(timeout=60)
        assert "Traceback" not in said, said

    def read(self, dataset: str, source: str = "tinystories", **wanted: Any) -> dict[str, Any]:
        """Its `commit`, its `texts` by split, its `error`, and the `log` of the way there."""
        assert self.process.stdin is not None and self.process.stdout is not None
        order = {"source": source, "wanted": {"dataset": dataset, **wanted}}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


def main() -> None:
    """Read orders from stdin, one a line, and answer each with a line."""
    import datasets

    from nielsgpt.config.source_settings import HubSettings
    from nielsgpt.data.sources import hf_hub, hf_text
    from nielsgpt.errors import NielsError

    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("nielsgpt").addHandler(handler)
    logging.getLogger("nielsgpt").setLevel(logging.INFO)
    time.sleep = lambda seconds: None
    datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0
    for line in sys.stdin:
        order = json.loads(line)
        answer: dict[str, Any] = {"commit": "", "texts": {}, "error": "", "log": lines}
        seed = order["wanted"].pop("seed", 1)
        try:
            hf_hub.resolve_commit.cache_clear()
            found = hf_hub.resolve_dataset(order["source"], HubSettings(**order["wanted"]))
            answer["commit"] = found.revision
            for document in hf_text.read_documents(found, seed):
                answer["texts"].setdefault(str(document.side), []).append(document.text)
        except NielsError as error:
            answer["error"] = str(error)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        lines.clear()


if __name__ == "__main__":
    main()
