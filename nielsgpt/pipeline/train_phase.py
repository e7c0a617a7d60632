"""One phase of training, from files to files: which rows, which starting weights, which state.

Pretraining starts from seeded weights, SFT from pretraining's best. A phase continues from its
newest sound checkpoint. Where its data, its numbers or its starting weights changed since, a line
says so: a begun phase continues on what is there now, and a finished one stays as it is.
"""

import logging
import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.config.settings import Phase, PhaseSettings
from nielsgpt.data import availability
from nielsgpt.distributed.group import ProcessGroup
from nielsgpt.doctor.trust import require_trusted
from nielsgpt.errors import CheckpointError, SettingsError, Stopped
from nielsgpt.pipeline.samples import make_sampler
from nielsgpt.progress import clock
from nielsgpt.report import page
from nielsgpt.system import machine
from nielsgpt.system.best_effort import best_effort
from nielsgpt.system.device import choose_device
from nielsgpt.system.workspace import Workspace, lock, set_aside
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training import autotune, build, memory_estimate, run_metadata, staleness
from nielsgpt.training import run_log as run_logs
from nielsgpt.training.autotune import TuningKey
from nielsgpt.training.build import identity, starting_weights
from nielsgpt.training.checkpoint_manager import CheckpointManager
from nielsgpt.training.loop import TrainingLoop
from nielsgpt.training.resume import check_fits, state_to_resume
from nielsgpt.training.resume_choice import AUTOMATIC, Resume
from nielsgpt.training.run_log import RunLog
from nielsgpt.training.time_budget import TimeBudget
from nielsgpt.training.trackers import open_trackers
from nielsgpt.training.trainer import Trainer

log = logging.getLogger("nielsgpt")
# What may change without the mathematics of a step changing.
HARDWARE = {
    *("micro_batch_size", "activation_checkpointing", "log_every", "keep_checkpoints"),
    *("trackers", "sample_prompts", "sample_tokens", "minutes"),
}
ENOUGH = 0.9  # of a time budget that a run has planned and made its last step in
Facts = dict[str, Any]


def train(
    workspace: Workspace,
    phase: Phase,
    resume: Resume = AUTOMATIC,
    group: ProcessGroup | None = None,
) -> None:
    """Bring one phase to its last step, or say that it is there already.

    Raises CheckpointError when the checkpoint's shape or tokenizer is not the settings'.
    """
    began = time.monotonic()
    workspace = availability.drop_uncached(workspace, phase)
    tokenizer = registry.load(workspace.tokenizer)
    group = group or ProcessGroup(workspace.settings.device.parallel)
    if not group.is_single:
        group.check_agreement(build.premises(workspace, phase, tokenizer))
    phase_settings = workspace.settings.phase(phase)
    if phase_settings.micro_batch_size:
        group.check_batch(
            phase_settings.batch_size, phase_settings.micro_batch_size
        )  # before anything is set aside
    facts = group.broadcast_object(lambda: phase_facts(workspace, phase, tokenizer, resume))
    with lock(workspace.checkpoints) if group.is_rank_zero else nullcontext():
        # Before anything is set aside.
        group.broadcast_object(lambda: _check_start(workspace, phase, facts["shape"], resume))
        state = group.broadcast_object(
            lambda: _state(workspace.checkpoints / phase, phase, facts, resume)
        )
        over = state is not None and resume.path is None and _is_complete(state, phase_settings)
        changed = state is not None and run_metadata.log_changed_settings(phase, state, facts, over)
        if state is not None and over:
            if not changed:
                log.info("%s: up to date at step %d", phase, state["step"])
            return
        if state is not None and any(staleness.data_changes(state["facts"], facts)):
            # Losses on other text do not compare: the best is sought from here on.
            state |= {"best": math.inf, "best_raw": math.inf, "waited": 0}
        _train(workspace, phase, tokenizer, facts, state, resume, began, group)


def is_finished(workspace: Workspace, phase: Phase) -> bool:
    """Whether the phase made the last step that its settings ask for."""
    newest = checkpoint_file.load_newest(workspace.checkpoints / phase, lazy=True)
    return (
        newest is not None
        and "due" in newest[0]
        and _is_complete(newest[0], workspace.settings.phase(phase))
    )


def check(workspace: Workspace, phase: Phase, resume: Resume) -> None:
    """Raise what training would refuse after hours of building caches: a device, a metric, a
    checkpoint that is not there or is of another shape."""
    check_settings(workspace, phase)
    if resume.path is not None:
        checkpoint_file.load(resume.path)
    before = _before(workspace, phase, resume)
    if before is None:
        _check_start(workspace, phase, _shape(workspace), resume)
    elif resume.path is None:
        shape = {**_shape(workspace), "tokenizer": before["shape"]["tokenizer"]}
        check_fits(workspace.checkpoints / phase / "latest.pt", before["shape"], shape)


def check_settings(workspace: Workspace, phase: Phase) -> None:
    """Raise SettingsError where the device, or the phase's best_metric, is not there."""
    choose_device(workspace.settings.device.device)
    phase_settings, mix = workspace.settings.phase(phase), workspace.settings.mix(phase)
    if phase == "pretrain" and phase_settings.max_steps == 0 and phase_settings.minutes is None:
        raise SettingsError("training.pretrain.max_steps is 0, and nothing learns; set 1 or more")
    if phase_settings.best_metric not in ("mix", *mix):
        raise SettingsError(
            f"training.{phase}.best_metric is {phase_settings.best_metric!r}; it is mix or one of "
            f"{', '.join(mix)}"
        )


def _starting_weights(workspace: Workspace, phase: Phase) -> Path | None:
    """The file of the starting weights. Raises CheckpointError where it is not there."""
    path = starting_weights(workspace, phase)
    if path is not None and not path.is_file():
        raise CheckpointError(f"no starting weights {path}; name a .pt with --init-from")
    return path


def _check_start(workspace: Workspace, phase: Phase, shape: Facts, resume: Resume) -> None:
    """Raise CheckpointError where a phase that starts at step 0 cannot take its starting weights.

    A phase that was begun took them then: they may have changed since, or be gone.
    """
    if resume.path is None and _before(workspace, phase, resume) is None:
        path = _starting_weights(workspace, phase)
        if path is not None and workspace.settings.phase(phase).init_strict:
            build.check_start(workspace, phase, path, shape)


def _before(workspace: Workspace, phase: Phase, resume: Resume) -> Facts | None:
    """The facts of the state that the phase continues from, as far as the small files know."""
    return None if resume.fresh else staleness.newest_facts(workspace.checkpoints / phase)


def _state(
    folder: Path, phase: Phase, facts: Facts, resume: Resume
) -> checkpoint_file.State | None:
    """The state to go on from; what is not gone on from is set aside."""
    if resume.fresh and folder.exists():
        log.info("%s: starting again; the earlier model is kept in %s", phase, set_aside(folder))
    return state_to_resume(folder, phase, facts, resume)


def _is_complete(state: checkpoint_file.State, phase_settings: PhaseSettings) -> bool:
    """Whether a state is the last one that these numbers ask for."""
    if state["due"] is not None:
        return False
    if 0 < phase_settings.early_stopping_patience <= state["waited"]:
        return True
    if phase_settings.minutes is not None:
        ended = state["step"] >= state["horizon"]["end"]
        return bool(ended and state["seconds"] >= ENOUGH * 60 * phase_settings.minutes)
    return bool(state["step"] >= phase_settings.max_steps)


def _train(
    workspace: Workspace,
    phase: Phase,
    tokenizer: Tokenizer,
    facts: Facts,
    state: checkpoint_file.State | None,
    resume: Resume,
    began: float,
    group: ProcessGroup,
) -> None:
    settings, phase_settings = workspace.settings, workspace.settings.phase(phase)
    trainer = _trainer(workspace, phase, tokenizer, facts, state, group)
    minutes, leads = phase_settings.minutes, group.is_rank_zero
    budget = None if minutes is None else _time_budget(minutes, trainer, began)
    # A run that continues from a chosen file is another run; the first one's log stays as it is.
    resumes = state is not None and resume.path is None
    run_id = state["facts"]["run_id"] if state and resumes else run_logs.new_run_id()
    folder = workspace.runs / run_id
    full = {**facts, "run_id": run_id, "engine": trainer.execution.facts()}
    if leads:
        meta = run_metadata.run_meta(trainer, full)
        if settings.training.report:
            with best_effort("measuring the peak speed"):
                meta["peak_flops"] = run_metadata.peak_flops(trainer.execution)
        run_logs.write_meta(folder, meta, settings.model_dump(mode="json"))
        if group.is_single and trainer.execution.device == "cpu":
            memory_estimate.make_fit(trainer, machine.available_bytes())
        run_metadata.log_start(trainer, phase, folder)
    sampled = leads and group.is_replicated
    loop = TrainingLoop(
        trainer,
        _run_log(workspace, trainer, phase, folder),
        _checkpoint_manager(workspace, phase, tokenizer, full, leads),
        budget,
        make_sampler(tokenizer, phase_settings, chats=phase == "sft") if sampled else None,
        began,
    )
    if leads:
        _run(loop, folder, phase, settings.training.report)
    else:
        loop.run()


def _trainer(
    workspace: Workspace,
    phase: Phase,
    tokenizer: Tokenizer,
    facts: Facts,
    state: checkpoint_file.State | None,
    group: ProcessGroup,
) -> Trainer:
    """The phase's trainer at the state, on the engine of this machine."""
    settings, phase_settings = workspace.settings, workspace.settings.phase(phase)
    wanted = group.device_settings(settings.device)
    asked = TuningKey(wanted, settings.model, tokenizer.vocab_size, phase_settings)
    before = state["facts"]["engine"] if state else None
    execution = group.execution(lambda: autotune.choose_execution(asked, before), phase_settings)
    if group.is_rank_zero:
        require_trusted(execution)
    starts = group.is_rank_zero and state is None
    model = build.model_at_start(workspace, phase, tokenizer, facts["shape"], starts)
    trainer = build.build_trainer(workspace, phase, tokenizer, model, execution, group)
    if state is not None:
        trainer.load(state)
        run_metadata.log_changed_execution(state["facts"]["engine"], trainer.execution)
        for heavy in ("weights", "optimizer", "average"):
            state.pop(heavy)  # else it lies in memory as long as the run takes
    return trainer


def _run(loop: TrainingLoop, folder: Path, phase: Phase, reports: bool) -> None:
    """Train, and note how it ended, whatever way it ended."""
    began, outcome = time.monotonic(), "failed"
    try:
        outcome = loop.run()
    except Stopped:
        outcome = "stopped"
        raise
    finally:
        run_metadata.close_run(folder, loop.trainer, outcome)
        loop.run_log.close()
    taken = clock(time.monotonic() - began)
    read = loop.trainer.batches.epochs(loop.trainer.drawn)
    told = ", ".join(f"{name} {times:.2f}" for name, times in read.items())
    log.info("%s: %d steps in %s; times read: %s", phase, loop.trainer.step, taken, told)
    if reports:
        with best_effort("the report"):
            log.info("%s: report in %s", phase, page.write(folder, None))


def _run_log(workspace: Workspace, trainer: Trainer, phase: Phase, folder: Path) -> RunLog:
    numbers, enabled = trainer.phase, trainer.group.is_rank_zero
    settings = workspace.settings.model_dump(mode="json")
    trackers = open_trackers(numbers.trackers, folder, folder.name, settings) if enabled else ()
    return RunLog(
        folder,
        phase,
        sorted(trainer.validation),
        trainer.step,
        trainer.schedule.known_end,
        numbers.log_every,
        trackers,
        enabled,
    )


def _checkpoint_manager(
    workspace: Workspace, phase: Phase, tokenizer: Tokenizer, facts: Facts, enabled: bool
) -> CheckpointManager:
    belongings = {
        "tokenizer": load_model.pack_tokenizer(tokenizer),
        "settings": workspace.settings.model_dump(mode="json"),
    }
    keep = workspace.settings.phase(phase).keep_checkpoints
    return CheckpointManager(workspace.checkpoints / phase, facts, belongings, keep, enabled)


def _time_budget(minutes: float, trainer: Trainer, began: float) -> TimeBudget:
    """The budget's clock, which has run since the command began and in earlier sessions."""
    return TimeBudget(60 * minutes, trainer.seconds + time.monotonic() - began)


def _start(path: Path) -> str | None:
    """The sha256 of the weights in a file; None where what is beside it knows another file."""
    if path.with_suffix(".json").exists():
        return checkpoint_file.read_facts(path).get("weights_sha256")
    return checkpoint_file.weights_sha256(
        checkpoint_file.kept_weights(checkpoint_file.load(path, "weights"))
    )


def _origin(workspace: Workspace, phase: Phase, resume: Resume) -> Facts:
    """The identity of each source's training split and of the starting weights."""
    origin: Facts = {
        name: identity(workspace.splits(phase), f"{name}_train")
        for name in sorted(workspace.settings.mix(phase))
    }
    before = _before(workspace, phase, resume)
    try:
        path = _starting_weights(workspace, phase)
    except CheckpointError:
        if before is None:
            raise
        path = None
        origin |= {k: v for k, v in before["origin"].items() if k == "start"}
    if path is not None:
        origin["start"] = _start(path)
        if origin["start"] is None:
            raise CheckpointError(
                f"{path} is damaged: its sha256 is not the one in its .json; delete it to start "
                "from latest.pt, or train again with 'nielsgpt pretrain --no-resume'"
            )
    return origin


def _shape(workspace: Workspace) -> Facts:
    return workspace.settings.model.model_dump(exclude={"attention"})


def phase_facts(
    workspace: Workspace, phase: Phase, tokenizer: Tokenizer, resume: Resume = AUTOMATIC
) -> Facts:
    """What a checkpoint of this phase is compared with, before anything heavy is opened."""
    settings, phase_settings = workspace.settings, workspace.settings.phase(phase)
    mix = settings.mix(phase)
    check_settings(workspace, phase)
    return {
        "phase": phase,
        "name": settings.name,
        "shape": {**_shape(workspace), "tokenizer": tokenizer.fingerprint},
        "origin": _origin(workspace, phase, resume),
        "validation": {
            name: identity(workspace.splits(phase), f"{name}_val") for name in sorted(mix)
        },
        "numbers": {**phase_settings.model_dump(exclude=HARDWARE | {"max_steps"}), "mix": mix},
        "seed": settings.seed,
        "max_steps": phase_settings.max_steps,
    }
