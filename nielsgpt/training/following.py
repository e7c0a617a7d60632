"""What ranks that do not lead have in place of notes and files, so that nothing is done twice."""

from collections.abc import Mapping, Sequence
from typing import Any

from nielsgpt.progress import Progress
from nielsgpt.training.run_log import RunLog
from nielsgpt.training.trainer import Trainer


class Still(Progress):
    """Shows nothing."""

    def __init__(self, total: int) -> None:
        self.total, self._bar = total, None

    def show(self, done: int, text: str) -> None:
        """Nothing to say."""


class Silence(RunLog):
    """Notes nothing."""

    def __init__(self, total: int) -> None:
        self.progress: Progress = Still(total)

    def record(self, row: Mapping[str, Any], evaluations: Mapping[str, Any]) -> None:
        """The leader notes it."""

    def event(self, step: int, kind: str, text: str) -> None:
        """The leader notes it."""

    def samples(self, step: int, pairs: Sequence[tuple[str, str]]) -> None:
        """The leader notes it."""

    def rewind(self, step: int) -> None:
        """The leader's notes go back."""

    def close(self) -> None:
        """Nothing is open."""


class Follower:
    """Saves nothing, and gives the leader its part of what is saved."""

    def save(self, trainer: Trainer, improved: bool) -> None:
        """Give the leader this rank's part."""
        trainer.state()

    def newest(self) -> None:
        """The leader reads it."""

    def finish(self) -> None:
        """Nothing is being written."""
