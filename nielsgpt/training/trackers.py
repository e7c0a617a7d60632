"""Where a run's numbers may go beside its own files: TensorBoard, Weights & Biases.

A tracker gets the numbers of every row of metrics.csv under names with slashes: train/loss,
val/loss, val/bits_per_byte, val/<source>/bits_per_byte, lr, grad_norm, throughput_tps.
"""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from nielsgpt.errors import SettingsError, best_effort, first_line

SCALARS = {
    "train_loss": "train/loss",
    "val_loss": "val/loss",
    "val_loss_raw": "val/loss_raw",
    "val_loss_ema": "val/loss_ema",
    "val_bits_per_byte": "val/bits_per_byte",
    "lr": "lr",
    "grad_norm": "grad_norm",
    "throughput_tps": "throughput_tps",
    "tokens_seen": "tokens_seen",
    "micro_batch_size": "micro_batch_size",
    "rate_scale": "rate_scale",
}
PER_SOURCE = "_bits_per_byte"


class Tracker(Protocol):
    """Takes the numbers of a run as it goes."""

    def log(self, step: int, values: dict[str, float]) -> None: ...

    def close(self) -> None: ...


def scalars(row: Mapping[str, object]) -> dict[str, float]:
    """The numbers of a row of metrics.csv under the names that trackers show."""
    named = {
        column: SCALARS.get(column) or f"val/{column.removesuffix(PER_SOURCE)}/bits_per_byte"
        for column in row
        if column in SCALARS or column.endswith(PER_SOURCE)
    }
    return {
        name: float(value)
        for column, name in named.items()
        if isinstance(value := row[column], int | float)
    }


class TensorBoard:
    """Event files in runs/<run_id>/tensorboard, for `tensorboard --logdir runs`.

    A resumed run hides the points of steps that it repeats.
    """

    package = "tensorboard"

    def __init__(self, folder: Path, run_id: str, settings: Mapping[str, object]) -> None:
        self.folder = folder / "tensorboard"
        self._writer: Any = None

    def log(self, step: int, values: dict[str, float]) -> None:
        """Add a point to each curve."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder), purge_step=step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is still in memory."""
        if self._writer is not None:
            self._writer.close()


class WeightsAndBiases:
    """A run of the project nielsgpt there; WANDB_MODE=offline keeps it in runs/<run_id>/wandb.

    Raises SettingsError when the service refuses.
    """

    package = "wandb"

    def __init__(self, folder: Path, run_id: str, settings: Mapping[str, object]) -> None:
        wandb = importlib.import_module(self.package)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._run = wandb.init(
                project="nielsgpt",
                id=run_id,
                name=run_id,
                dir=str(folder),
                config=dict(settings),
                resume="allow",
                settings=wandb.Settings(console="off"),
            )
        except wandb.errors.Error as error:
            reason = first_line(error)
            raise SettingsError(
                f"the tracker wandb did not start ({reason}); log in with 'wandb login', "
                "or set WANDB_MODE=offline"
            ) from None

    def log(self, step: int, values: dict[str, float]) -> None:
        """Add a point to each curve."""
        self._run.log(values, step=step)

    def close(self) -> None:
        """Send what is still in memory."""
        self._run.finish()


TRACKERS: dict[str, type[TensorBoard] | type[WeightsAndBiases]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}


def open_trackers(
    names: Sequence[str], folder: Path, run_id: str, settings: Mapping[str, object]
) -> list[Tracker]:
    """The trackers of these names, for the run of this id in runs/<run_id>.

    Raises SettingsError with the command that installs a missing package, before any is opened.
    One that does not start is left out with a warning.
    """
    for name in names:
        if importlib.util.find_spec(TRACKERS[name].package) is None:
            raise SettingsError(
                f"the tracker {name} is not installed; run: pip install 'nielsgpt[{name}]'"
            )
    opened: list[Tracker] = []
    for name in names:
        with best_effort("tracking"):
            opened.append(TRACKERS[name](folder, run_id, settings))
    return opened
