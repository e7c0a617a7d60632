"""One phase of one model's training as one object: its files, its data, its processes, its time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.checkpoint.contents import Numbers, RunMetadata, Shape, State
from nielsgpt.config.settings import Phase, PhaseSettings, Settings
from nielsgpt.data import availability
from nielsgpt.distributed.group import ProcessGroup
from nielsgpt.errors import CheckpointError, SettingsError
from nielsgpt.system.device import choose_device
from nielsgpt.system.folder_lock import lock
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training import assemble, staleness
from nielsgpt.training.time_budget import TimeBudget

# What may change without the mathematics of a step changing.
HARDWARE = {
    *("micro_batch_size", "activation_checkpointing", "log_every", "keep_checkpoints"),
    *("trackers", "sample_prompts", "sample_tokens", "minutes"),
}
ENOUGH = 0.9  # of a time budget that a run has planned and made its last step in


@dataclass(frozen=True)
class Resume:
    """The state a phase resumes from: its newest, a file's, or none (`fresh`)."""

    path: Path | None = None
    fresh: bool = False


AUTOMATIC = Resume()


@dataclass(frozen=True)
class TrainingRun:
    """A phase that is to be trained, or resumed, by this process as one of its group."""

    workspace: Workspace
    phase: Phase
    tokenizer: Tokenizer
    group: ProcessGroup
    resume: Resume
    metadata: RunMetadata
    started_at: float

    @classmethod
    def open(
        cls,
        workspace: Workspace,
        phase: Phase,
        resume: Resume = AUTOMATIC,
        group: ProcessGroup | None = None,
    ) -> Self:
        """The run that these settings ask for, on caches that are built.

        Raises SettingsError where the processes of the group differ or cannot share the batch, and
        CheckpointError where the starting weights are missing.
        """
        started_at = time.monotonic()
        workspace = availability.drop_uncached(workspace, phase)
        tokenizer = registry.load(workspace.tokenizer)
        group = group or ProcessGroup(workspace.settings.device.parallel)
        if not group.is_single:
            group.check_agreement(assemble.premises(workspace, phase, tokenizer))
        phase_settings = workspace.settings.phase(phase)
        if phase_settings.micro_batch_size:
            group.check_batch(phase_settings.batch_size, phase_settings.micro_batch_size)
        facts = group.broadcast_object(
            lambda: describe_run(workspace, phase, tokenizer, resume).to_dict()
        )
        metadata = RunMetadata.from_dict(facts)
        return cls(workspace, phase, tokenizer, group, resume, metadata, started_at)

    @property
    def settings(self) -> Settings:
        """The settings of the model's whole life."""
        return self.workspace.settings

    @property
    def phase_settings(self) -> PhaseSettings:
        """The settings of this phase."""
        return self.settings.phase(self.phase)

    @property
    def folder(self) -> Path:
        """Where the phase's checkpoints are."""
        return self.workspace.checkpoints / self.phase

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the model's checkpoints for rank 0 alone. Raises BusyError."""
        with lock(self.workspace.checkpoints) if self.group.is_rank_zero else nullcontext():
            yield

    def is_complete(self, state: State) -> bool:
        """Whether a state is the last one that the run asks for."""
        return self.resume.path is None and is_last(state, self.phase_settings)

    def time_budget(self, seconds: float) -> TimeBudget | None:
        """The budget, of which earlier sessions spent `seconds`; None where steps are the limit.

        It has run since the command began.
        """
        minutes = self.phase_settings.minutes
        if minutes is None:
            return None
        return TimeBudget(60 * minutes, seconds + time.monotonic() - self.started_at)


def describe_run(
    workspace: Workspace, phase: Phase, tokenizer: Tokenizer, resume: Resume = AUTOMATIC
) -> RunMetadata:
    """The metadata that a checkpoint of this phase is compared with; opens nothing heavy."""
    settings, phase_settings = workspace.settings, workspace.settings.phase(phase)
    check_settings(workspace, phase)
    mix, splits = settings.mix(phase), workspace.splits(phase)
    numbers = cast(Numbers, phase_settings.model_dump(exclude=HARDWARE | {"max_steps"}))
    return RunMetadata(
        phase=phase,
        name=settings.name,
        shape={**model_shape(settings), "tokenizer": tokenizer.fingerprint},
        origin=_origin(workspace, phase, resume),
        validation={name: assemble.split_identity(splits, f"{name}_val") for name in sorted(mix)},
        numbers={**numbers, "mix": mix},
        seed=settings.seed,
        max_steps=phase_settings.max_steps,
    )


def is_last(state: State, phase_settings: PhaseSettings) -> bool:
    """Whether a state is the last one that these settings ask for."""
    if state["due"] is not None:
        return False
    if 0 < phase_settings.early_stopping_patience <= state["waited"]:
        return True
    if phase_settings.minutes is not None:
        ended = state["step"] >= state["horizon"]["end"]
        return bool(ended and state["seconds"] >= ENOUGH * 60 * phase_settings.minutes)
    return bool(state["step"] >= phase_settings.max_steps)


def check_settings(workspace: Workspace, phase: Phase) -> None:
    """Raise SettingsError where the device, or the phase's best_metric, does not exist."""
    choose_device(workspace.settings.device.device)
    phase_settings, mix = workspace.settings.phase(phase), workspace.settings.mix(phase)
    if not mix:
        raise SettingsError(
            f"data.mix_{phase} is empty, so there is nothing to train on; put shares of sources "
            "into it, which 'nielsgpt sources' lists"
        )
    if phase == "pretrain" and phase_settings.max_steps == 0 and phase_settings.minutes is None:
        raise SettingsError(
            "training.pretrain.max_steps is 0, so nothing would be trained; set 1 or more"
        )
    if phase_settings.best_metric not in ("mix", *mix):
        raise SettingsError(
            f"training.{phase}.best_metric is {phase_settings.best_metric!r}; "
            f"it must be mix or one of {', '.join(mix)}"
        )


def check_start(workspace: Workspace, phase: Phase, shape: Shape, resume: Resume) -> None:
    """Raise CheckpointError where a phase that starts at step 0 cannot take its starting weights.

    A phase that was begun took them then: they may have changed since, or be gone.
    """
    if resume.path is None and previous_metadata(workspace, phase, resume) is None:
        path = _existing_start(workspace, phase)
        if path is not None and workspace.settings.phase(phase).init_strict:
            assemble.check_start(workspace, phase, path, shape)


def previous_metadata(workspace: Workspace, phase: Phase, resume: Resume) -> RunMetadata | None:
    """The metadata of the state that the phase continues from, as the small files know it."""
    return None if resume.fresh else staleness.newest_metadata(workspace.checkpoints / phase)


def model_shape(settings: Settings) -> Shape:
    """The model's settings that a checkpoint must share."""
    return cast(Shape, settings.model.model_dump(exclude={"attention"}))


def weights_identity(path: Path) -> str | None:
    """The sha256 of the weights in a file; None where its small file knows another one."""
    if path.with_suffix(".json").exists():
        metadata = checkpoint_file.read_metadata(path)
        return metadata.weights_sha256 or None if metadata is not None else None
    state = checkpoint_file.load(path, "weights")
    return checkpoint_file.weights_sha256(checkpoint_file.kept_weights(state))


def _existing_start(workspace: Workspace, phase: Phase) -> Path | None:
    """The file of the starting weights. Raises CheckpointError where it does not exist."""
    path = assemble.starting_weights(workspace, phase)
    if path is not None and not path.is_file():
        raise CheckpointError(f"no starting weights {path}; name a .pt with --init-from")
    return path


def _origin(workspace: Workspace, phase: Phase, resume: Resume) -> dict[str, str]:
    """The identity of each source's training split and of the starting weights."""
    splits = workspace.splits(phase)
    origin = {
        name: assemble.split_identity(splits, f"{name}_train")
        for name in workspace.settings.mix(phase)
    }
    before = previous_metadata(workspace, phase, resume)
    try:
        path = _existing_start(workspace, phase)
    except CheckpointError:
        if before is None:
            raise
        return origin | {k: v for k, v in before.origin.items() if k == "start"}
    if path is not None:
        start = weights_identity(path)
        if start is None:
            raise CheckpointError(
                f"{path} is damaged: its sha256 is not the one in its .json; delete it to start "
                "from latest.pt, or train again with 'nielsgpt pretrain --no-resume'"
            )
        origin["start"] = start
    return origin
