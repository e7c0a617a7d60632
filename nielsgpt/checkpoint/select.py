"""Which model is meant where nobody named one: the only one there is, else the person chooses."""

import shlex
import time
from pathlib import Path

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.checkpoint.contents import read_small_file
from nielsgpt.config.settings import Phase
from nielsgpt.errors import CheckpointError
from nielsgpt.system.workspace import Workspace

# Under checkpoints/<name>/, the first that is there.
WEIGHTS: dict[Phase, tuple[str, ...]] = {
    "sft": ("best.pt",),
    "pretrain": ("pretrain/best.pt", "pretrain/latest.pt"),
}
SHOWN = 8
AGES = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def only_model(root: Path, phase: Phase, command: str) -> Path | None:
    """The weights of this phase's only model under the root; None if there is none.

    Raises CheckpointError where there are several: newest first, each as `command` would name it.
    """
    found = newest_first(root, phase)
    if len(found) <= 1:
        return found[0] if found else None
    now_s = time.time()
    ways = [
        f"{command} {shlex.quote(str(path))} ({_age(now_s - path.stat().st_mtime)} old)"
        for path in found[:SHOWN]
    ]
    more = f", and {len(found) - SHOWN} older ones" if len(found) > SHOWN else ""
    raise CheckpointError(
        f"{root / 'checkpoints'} has {len(found)} models; name one: {', '.join(ways)}{more}"
    )


def newest_first(root: Path, phase: Phase) -> list[Path]:
    """The weights of each model under the root that went through this phase."""
    found = []
    for folder in (root / "checkpoints").glob("*/"):
        there = next((folder / p for p in WEIGHTS[phase] if (folder / p).is_file()), None)
        if there is not None and _phase_of(there) in (phase, None):
            found.append(there)
    return sorted(found, key=lambda path: (-path.stat().st_mtime, path))


def own_settings(path: Path) -> dict[str, object]:
    """The name of a checkpoint's model, and how it draws by the settings that it was trained with.

    Raises CheckpointError for what is no checkpoint.
    """
    settings = checkpoint_file.load(path, "settings", lazy=True)["settings"]
    return {name: settings[name] for name in ("name", "generation") if name in settings}


def _phase_of(path: Path) -> str | None:
    """The phase that made these weights, by the small file beside them; None where it has none.

    The newest weights of a name are pretraining's until SFT has finished some.
    """
    return read_small_file(path.with_suffix(".json")).get("phase")


def _age(seconds: float) -> str:
    """The largest whole unit: `3 hours`."""
    unit, length = next(((u, s) for u, s in AGES if seconds >= s), AGES[-1])
    count = max(0, int(seconds // length))
    return f"{count} {unit}{'' if count == 1 else 's'}"


def chat_weights(workspace: Workspace) -> Path:
    """SFT's best weights. Raises CheckpointError with the command that makes them."""
    path = workspace.checkpoints / "best.pt"
    if not path.is_file():
        raise CheckpointError(f"no model in {path}; train one with 'nielsgpt pipeline'")
    return path


def pretrained_weights(workspace: Workspace) -> Path:
    """Pretraining's best weights, or its latest where none was best.

    Raises CheckpointError with the command that makes them.
    """
    folder = workspace.checkpoints / "pretrain"
    found = next((p for p in (folder / "best.pt", folder / "latest.pt") if p.is_file()), None)
    if found is None:
        raise CheckpointError(
            f"no pretrained weights in {folder}; run 'nielsgpt pretrain' first, or name a .pt of "
            "another model"
        )
    return found
