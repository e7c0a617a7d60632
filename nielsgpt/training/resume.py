"""Where a phase continues from: its newest sound state, a file that was named, or nowhere.

A state trained on other data or from other weights is continued all the same: it is set aside only
when a person asks for that.
"""

import logging
from pathlib import Path
from typing import Any

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.config.settings import Phase
from nielsgpt.errors import CheckpointError
from nielsgpt.system.workspace import set_aside
from nielsgpt.training.checkpoint_manager import link_state, places
from nielsgpt.training.resume_choice import Resume

log = logging.getLogger("nielsgpt")
Facts = dict[str, Any]


def state_to_resume(
    folder: Path, phase: Phase, facts: Facts, resume: Resume
) -> checkpoint_file.State | None:
    """The state to go on from; None where the phase starts at step 0.

    Raises CheckpointError when its shape, tokenizer or optimizer is not the settings'.
    """
    if resume.path is not None:
        return _chosen_state(folder, phase, facts, resume.path)
    newest = checkpoint_file.load_newest(folder)
    if newest is None:
        if checkpoint_file.newest_first(folder):  # none is whole, but best.pt may be
            log.warning("%s: starting again; what was there is in %s", phase, set_aside(folder))
        return None
    state, path = newest
    _check_whole(path, state)
    check_fits(path, state["facts"]["shape"], facts["shape"])
    _same_optimizer(path, state["facts"], facts)
    link_state(path, checkpoint_file.read_facts(path), places(folder, phase))
    return state


def _chosen_state(folder: Path, phase: Phase, facts: Facts, path: Path) -> checkpoint_file.State:
    """The state of a file that was named; what the folder holds beyond it is set aside."""
    state = checkpoint_file.load(path, "weights", "facts")
    _check_whole(path, state)
    if state["facts"]["phase"] != phase:
        raise CheckpointError(
            f"{path} is of phase {state['facts']['phase']}; 'nielsgpt {state['facts']['phase']} "
            f"--resume {path}' goes on with it"
        )
    check_fits(path, state["facts"]["shape"], facts["shape"])
    _same_optimizer(path, state["facts"], facts)
    steps = checkpoint_file.newest_first(folder)
    if steps and steps[0].resolve() != path.resolve():
        log.info("%s: going on from %s; later states are in %s", phase, path, set_aside(folder))
    return state


def _check_whole(path: Path, state: checkpoint_file.State) -> None:
    """Raise CheckpointError where an earlier version wrote less than a resumed run needs."""
    if not {"guard", "horizon", "due", "lowered"} <= set(state):
        raise CheckpointError(
            f"{path} was written by an earlier nielsgpt, which kept less than going on needs; "
            "--no-resume trains again and sets it aside"
        )


def check_fits(path: Path, before: Facts, now: Facts) -> None:
    """Raise CheckpointError field by field where a checkpoint's shape is not the settings'."""
    diff = "; ".join(checkpoint_file.list_differences(before, now))
    if diff:
        raise CheckpointError(
            f"{path} does not fit these settings: {diff}; keep its settings, choose another name "
            "with --set name=NAME, or start again with --no-resume"
        )


def _same_optimizer(path: Path, before: Facts, now: Facts) -> None:
    old, new = before["numbers"]["optimizer"], now["numbers"]["optimizer"]
    if old != new:
        raise CheckpointError(
            f"{path} holds the state of optimizer {old}, and the settings ask for {new}; keep "
            f"{old}, or start again with --no-resume"
        )
