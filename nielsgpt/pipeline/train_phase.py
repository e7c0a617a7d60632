"""One phase of training, from files to files.

Pretraining starts from seeded weights, SFT from pretraining's best. A phase resumes from its newest
intact checkpoint. Where its data, its settings or its starting weights changed since, a line names
them: a begun phase continues on what is there now, and a finished one stays as it is.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace

from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.checkpoint.contents import RunMetadata, State
from nielsgpt.config.settings import Phase
from nielsgpt.distributed.group import ProcessGroup
from nielsgpt.doctor.trust import require_trusted
from nielsgpt.errors import Stopped, best_effort
from nielsgpt.pipeline.samples import make_sampler
from nielsgpt.progress import clock
from nielsgpt.report import page
from nielsgpt.system import machine
from nielsgpt.system.device import peak_flops
from nielsgpt.system.workspace import Workspace
from nielsgpt.training import assemble, autotune, memory_estimate, run_record, staleness
from nielsgpt.training import run as runs
from nielsgpt.training import run_log as run_logs
from nielsgpt.training.autotune import TuningKey
from nielsgpt.training.checkpoint_manager import CheckpointManager
from nielsgpt.training.loop import Sampler, TrainingLoop
from nielsgpt.training.resume import check_fits, find_state
from nielsgpt.training.run import AUTOMATIC, Resume, TrainingRun
from nielsgpt.training.run_log import RunLog
from nielsgpt.training.trackers import Tracker, open_trackers
from nielsgpt.training.trainer import Trainer

log = logging.getLogger("nielsgpt")


def train(
    workspace: Workspace,
    phase: Phase,
    resume: Resume = AUTOMATIC,
    group: ProcessGroup | None = None,
) -> None:
    """Train one phase under these settings. Raises as `TrainingRun.open` and `train_phase` do."""
    train_phase(TrainingRun.open(workspace, phase, resume, group))


def train_phase(run: TrainingRun) -> None:
    """Train one phase to its last step; return at once if it is already complete.

    Raises CheckpointError when the checkpoint's shape or tokenizer is not the settings', and
    Stopped after saving when the process is asked to end.
    """
    with run.lock():
        state = find_state(run)
        if state is not None:
            complete = run.is_complete(state)
            changed = run_record.log_changes(run, state, complete)
            if complete:
                if not changed:
                    log.info("%s: up to date at step %d", run.phase, state["step"])
                return
            if any(staleness.data_changes(checkpoint_file.metadata_of(state), run.metadata)):
                # Losses on other text do not compare: the best is sought from here on.
                state |= {"best": math.inf, "best_raw": math.inf, "waited": 0}
        trainer = build_trainer(run, state)
        fit(run, trainer, state)


def build_trainer(run: TrainingRun, state: State | None) -> Trainer:
    """The phase's trainer, at the state, with the execution config of this machine."""
    group, before = run.group, checkpoint_file.metadata_of(state).engine if state else None
    settings = group.device_settings(run.settings.device)
    key = TuningKey(settings, run.settings.model, run.tokenizer.vocab_size, run.phase_settings)
    execution = group.execution(lambda: autotune.choose_execution(key, before), run.phase_settings)
    if group.is_rank_zero:
        require_trusted(execution)
    starts = group.is_rank_zero and state is None
    workspace, phase, tokenizer = run.workspace, run.phase, run.tokenizer
    model = assemble.model_at_start(workspace, phase, tokenizer, run.metadata.shape, starts)
    trainer = assemble.assemble_trainer(workspace, phase, tokenizer, model, execution, group)
    if state is not None:
        trainer.load(state)
        run_record.log_changed_execution(before or {}, trainer.execution)
        del state["weights"], state["optimizer"], state["average"]  # else held as long as the run
    return trainer


def fit(run: TrainingRun, trainer: Trainer, state: State | None) -> None:
    """Train to the last step, and record how it ended, whatever way it ended."""
    # A run that continues from a chosen file is another run; the first one's log stays as it is.
    resumes = state is not None and run.resume.path is None
    before = checkpoint_file.metadata_of(state).run_id if state is not None and resumes else ""
    run_id = before or run_logs.new_run_id()
    metadata = replace(run.metadata, run_id=run_id, engine=trainer.execution.facts())
    loop = TrainingLoop(
        trainer,
        _open_run_log(run, trainer, metadata),
        _checkpoint_manager(run, metadata),
        run.time_budget(trainer.seconds),
        _sampler(run),
        run.started_at,
    )
    if not run.group.is_rank_zero:
        loop.run()
        return
    folder, began, outcome = run.workspace.runs / run_id, time.monotonic(), "failed"
    try:
        outcome = loop.run()
    except Stopped:
        outcome = "stopped"
        raise
    finally:
        run_record.close_run(folder, trainer, outcome)
        loop.run_log.close()
    epochs = trainer.batches.epochs(trainer.drawn).items()
    read = ", ".join(f"{name} {count:.2f}" for name, count in epochs)
    seconds = clock(time.monotonic() - began)
    log.info("%s: %d steps in %s; epochs: %s", run.phase, trainer.step, seconds, read)
    if run.settings.training.report:
        with best_effort("the report"):
            log.info("%s: report in %s", run.phase, page.write(folder, None))


def is_finished(workspace: Workspace, phase: Phase) -> bool:
    """Whether the phase made the last step that its settings ask for."""
    newest = checkpoint_file.load_newest(workspace.checkpoints / phase, lazy=True)
    if newest is None or "due" not in newest[0]:
        return False
    return runs.is_last(newest[0], workspace.settings.phase(phase))


def check(workspace: Workspace, phase: Phase, resume: Resume) -> None:
    """Raise what training would refuse after hours of building caches: a device or a metric that
    does not exist, a checkpoint that is missing or of another shape."""
    runs.check_settings(workspace, phase)
    if resume.path is not None:
        checkpoint_file.load(resume.path)
    before = runs.previous_metadata(workspace, phase, resume)
    shape = runs.model_shape(workspace.settings)
    if before is None:
        runs.check_start(workspace, phase, shape, resume)
    elif resume.path is None:
        shape["tokenizer"] = before.shape["tokenizer"]
        check_fits(workspace.checkpoints / phase / "latest.pt", before.shape, shape)


def _open_run_log(run: TrainingRun, trainer: Trainer, metadata: RunMetadata) -> RunLog:
    """The run's folder, begun or resumed; on other ranks than 0 a log that writes nothing."""
    folder, enabled = run.workspace.runs / metadata.run_id, run.group.is_rank_zero
    settings = run.settings.model_dump(mode="json")
    trackers: Sequence[Tracker] = ()
    if enabled:
        meta = run_record.describe(trainer, metadata)
        if run.settings.training.report:
            with best_effort("measuring the peak speed"):
                meta["peak_flops"] = peak_flops(trainer.execution)
        run_logs.write_meta(folder, meta, settings)
        if run.group.is_single and trainer.execution.device == "cpu":
            memory_estimate.make_fit(trainer, machine.available_bytes())
        memory_estimate.reset_peak(trainer.execution.device)
        run_record.log_start(trainer, run.phase, folder)
        trackers = open_trackers(run.phase_settings.trackers, folder, folder.name, settings)
    return RunLog(
        folder,
        run.phase,
        sorted(trainer.validation),
        trainer.step,
        trainer.schedule.known_end,
        run.phase_settings.log_every,
        trackers,
        enabled,
    )


def _checkpoint_manager(run: TrainingRun, metadata: RunMetadata) -> CheckpointManager:
    belongings: State = {
        "tokenizer": load_model.pack_tokenizer(run.tokenizer),
        "settings": run.settings.model_dump(mode="json"),
    }
    keep, enabled = run.phase_settings.keep_checkpoints, run.group.is_rank_zero
    return CheckpointManager(run.folder, metadata, belongings, keep, enabled)


def _sampler(run: TrainingRun) -> Sampler | None:
    """The model's answers during training, where one process can compute them."""
    if run.group.is_rank_zero and run.group.is_replicated:
        return make_sampler(run.tokenizer, run.phase_settings, chats=run.phase == "sft")
    return None
