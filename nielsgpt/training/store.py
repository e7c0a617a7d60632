"""A phase's folder of checkpoints: steps, latest and best, and the same two names one level up."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nielsgpt import checkpoint
from nielsgpt.training.trainer import Trainer


class PhaseStore:
    """Saves a trainer's states with what belongs to them.

    `facts` go into the small .json beside each file, `belongings` into the file itself.
    """

    def __init__(
        self, folder: Path, facts: Mapping[str, Any], belongings: Mapping[str, Any], keep: int
    ) -> None:
        self.folder, self.facts, self.belongings, self.keep = folder, facts, belongings, keep

    def save(self, trainer: Trainer, improved: bool) -> None:
        """Write the step's state once; latest, and best if it improved, name the same file."""
        state = trainer.state()
        figures = {
            name: {"loss": e.loss, "bits_per_byte": e.bits_per_byte}
            for name, e in trainer.evaluations.items()
        }
        facts = {
            **self.facts,
            "step": trainer.step,
            "best": trainer.best,
            "improved": improved,
            "evaluations": figures,
            "weights_sha256": checkpoint.weights_sha256(checkpoint.kept_weights(state)),
        }
        path = self.folder / checkpoint.step_name(trainer.step)
        entry = checkpoint.save(path, {**state, **self.belongings, "facts": facts}, facts)
        name_state(path, entry, (self.folder, self.folder.parent))
        checkpoint.prune(self.folder, self.keep)

    def newest(self) -> checkpoint.State | None:
        """The newest state that verifies."""
        found = checkpoint.load_newest(self.folder)
        return found[0] if found else None

    def finish(self) -> None:
        """Wait until everything is written."""


def name_state(path: Path, entry: Mapping[str, Any], places: Iterable[Path]) -> None:
    """Let latest, and best if it improved, name this state in the folders, where they do not yet.

    Also mends the names that a process killed in the middle of this left behind.
    """
    places = tuple(places)
    for name in ("latest.pt", *(["best.pt"] if entry["improved"] else [])):
        for place in places:
            if checkpoint.read_facts(place / name).get("sha256") != entry["sha256"]:
                checkpoint.share(path, place / name, dict(entry))


def set_aside(folder: Path) -> Path:
    """Move a phase's folder out of the way; nothing that was trained is ever deleted."""
    target = folder.with_name(f"{folder.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    number = 1
    while target.exists():
        number += 1
        target = folder.with_name(f"{folder.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{number}")
    return folder.rename(target)
