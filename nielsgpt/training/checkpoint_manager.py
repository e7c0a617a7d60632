"""A phase's folder of checkpoints: steps, latest and best, and the same two names one level up."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.checkpoint.contents import RunMetadata, State
from nielsgpt.errors import RunError
from nielsgpt.system import machine
from nielsgpt.training.trainer import Trainer

RESERVE = 1.2  # times a state's bytes: what must be free before it is written


class CheckpointManager:
    """Saves a trainer's states with what belongs to them, while training continues.

    The metadata goes into each file and the small .json beside it, the `belongings` (tokenizer and
    settings) into the file alone. One state is written at a time, by one thread, from a copy; what
    goes wrong there is raised by the next call of any of these methods.
    """

    def __init__(
        self,
        folder: Path,
        metadata: RunMetadata,
        belongings: State,
        keep: int,
        enabled: bool = True,
    ) -> None:
        self.folder = folder
        self.metadata = metadata
        self.belongings = belongings
        self.keep = keep
        self.enabled = enabled
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] | None = None

    def save(self, trainer: Trainer, improved: bool) -> None:
        """Write the step's state once; latest, and best if it improved, name the same file.

        Raises RunError where the disk is too full for it, and leaves what is there as it is.
        """
        self.finish()
        state = trainer.state()  # on every rank, for each gives rank 0 its part
        if not self.enabled:
            return
        state = checkpoint_file.snapshot(state)
        path = self.folder / checkpoint_file.step_name(trainer.step)
        state |= self.belongings
        self._make_room(path, int(RESERVE * checkpoint_file.tensor_bytes(state)))
        metadata = replace(
            self.metadata,
            step=trainer.step,
            tokens_seen=trainer.tokens_seen,
            best=trainer.best,
            improved=improved,
            evaluations={
                name: {"loss": e.loss, "bits_per_byte": e.bits_per_byte}
                for name, e in trainer.evaluations.items()
            },
        )
        self._writing = self._thread.submit(self._write, path, state, metadata)

    def newest(self) -> State | None:
        """The newest state that verifies."""
        self.finish()
        found = checkpoint_file.load_newest(self.folder)
        return found[0] if found else None

    def finish(self) -> None:
        """Wait until everything is written; raises what went wrong."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, path: Path, state: State, metadata: RunMetadata) -> None:
        sha256 = checkpoint_file.weights_sha256(checkpoint_file.kept_weights(state))
        state["facts"] = replace(metadata, weights_sha256=sha256).to_dict()
        checkpoint_file.save(path, state)
        checkpoint_file.link_latest_and_best(path, metadata.phase)
        checkpoint_file.prune(self.folder, self.keep, path)

    def _make_room(self, path: Path, needed: int) -> None:
        """Leave only the newest state, and best, where the disk is nearly full."""
        if machine.free_disk_bytes(self.folder) >= needed:
            return
        before = next((p for p in checkpoint_file.newest_first(self.folder) if p != path), None)
        if before is not None and checkpoint_file.read_entry(before):
            checkpoint_file.prune(self.folder, 1, before)
        free = machine.free_disk_bytes(self.folder)
        if free < needed:
            raise RunError(
                f"no space left to write {path}: {needed / 2**20:,.0f} MiB are needed and "
                f"{free / 2**20:,.0f} MiB are free; what was saved before is intact: free some "
                "space and run the same command again"
            )
