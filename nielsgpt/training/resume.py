"""Where a phase resumes from: its newest intact checkpoint, a named file, or nothing.

A state trained on other data or from other weights is continued all the same: it is set aside only
when a person asks for that.
"""

import logging
from pathlib import Path

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.checkpoint.contents import RunMetadata, Shape, State, list_differences
from nielsgpt.errors import CheckpointError
from nielsgpt.system.workspace import set_aside
from nielsgpt.training.run import TrainingRun, check_start

log = logging.getLogger("nielsgpt")


def find_state(run: TrainingRun) -> State | None:
    """The state to continue from, on every rank; None where the phase starts at step 0.

    Raises CheckpointError when its shape, tokenizer or optimizer is not the settings', or the
    starting weights of a new phase do not fit.
    """
    return run.group.broadcast_object(lambda: _find_state(run))


def _find_state(run: TrainingRun) -> State | None:
    metadata, folder, phase = run.metadata, run.folder, run.phase
    check_start(run.workspace, phase, metadata.shape, run.resume)  # before anything is set aside
    if run.resume.fresh and folder.exists():
        log.info("%s: starting again; the earlier model is kept in %s", phase, set_aside(folder))
    if run.resume.path is not None:
        return _chosen_state(run, run.resume.path)
    newest = checkpoint_file.load_newest(folder)
    if newest is None:
        if checkpoint_file.newest_first(folder):  # none is whole, but best.pt may be
            log.warning("%s: starting again; what was there is in %s", phase, set_aside(folder))
        return None
    state, path = newest
    _check_whole(path, state)
    before = checkpoint_file.metadata_of(state)
    check_fits(path, before.shape, metadata.shape)
    _check_same_optimizer(path, before, metadata)
    checkpoint_file.link_latest_and_best(path, phase)
    return state


def _chosen_state(run: TrainingRun, path: Path) -> State:
    """The state of a file that was named; what the folder holds beyond it is set aside."""
    state = checkpoint_file.load(path, "weights", "facts")
    _check_whole(path, state)
    before = checkpoint_file.metadata_of(state)
    if before.phase != run.phase:
        raise CheckpointError(
            f"{path} is of phase {before.phase}; resume it with 'nielsgpt {before.phase} "
            f"--resume {path}'"
        )
    check_fits(path, before.shape, run.metadata.shape)
    _check_same_optimizer(path, before, run.metadata)
    steps = checkpoint_file.newest_first(run.folder)
    if steps and steps[0].resolve() != path.resolve():
        aside = set_aside(run.folder)
        log.info("%s: continuing from %s; later states are in %s", run.phase, path, aside)
    return state


def _check_whole(path: Path, state: State) -> None:
    """Raise CheckpointError where an earlier version wrote less than a resumed run needs."""
    if not {"guard", "horizon", "due", "lowered"} <= set(state):
        raise CheckpointError(
            f"{path} was saved by an earlier nielsgpt and lacks state needed to resume; "
            "--no-resume starts from scratch and sets it aside"
        )


def check_fits(path: Path, before: Shape, now: Shape) -> None:
    """Raise CheckpointError field by field where a checkpoint's shape is not the settings'."""
    diff = "; ".join(list_differences(before, now))
    if diff:
        raise CheckpointError(
            f"{path} does not fit these settings: {diff}; keep its settings, choose another name "
            "with --set name=NAME, or start again with --no-resume"
        )


def _check_same_optimizer(path: Path, before: RunMetadata, now: RunMetadata) -> None:
    old, new = before.numbers["optimizer"], now.numbers["optimizer"]
    if old != new:
        raise CheckpointError(
            f"{path} holds the state of optimizer {old}, and the settings ask for {new}; keep "
            f"{old}, or start again with --no-resume"
        )
