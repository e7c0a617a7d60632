"""The commands `pretrain` and `sft`: one function, for a phase and a number of processes."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import resettled, resume_options, with_workspace

if TYPE_CHECKING:
    from nielsgpt.config.settings import Phase
    from nielsgpt.system.workspace import Workspace
    from nielsgpt.training.run import Resume

ABOVE_0 = click.FloatRange(0, min_open=True)


def nproc_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--nproc N, as a whole number."""
    words = "Number of training processes on this machine."
    return click.option("--nproc", type=click.IntRange(1), default=1, help=words)(command)


def training_command(phase: "Phase", purpose: str) -> click.Command:
    """The command that brings one phase to its last step."""

    @with_workspace
    @resume_options
    @nproc_option
    @click.option("--hours", type=ABOVE_0, help="Train for this time instead of max_steps.")
    @click.option("--minutes", type=ABOVE_0, help="Like --hours, in minutes.")
    @click.option("--more-steps", type=click.IntRange(1), help="Train this many more steps.")
    @click.option("--tokens", type=click.IntRange(1), help="Train on this many tokens in all.")
    @click.option("--auto-microbatch", is_flag=True, help="Measure the fastest micro-batch size.")
    @click.option("--init-from", help="Checkpoint to load the initial weights from.")
    @click.option(
        "--no-strict",
        is_flag=True,
        help="Load matching tensors from --init-from and list the rest.",
    )
    def train(workspace: "Workspace", resume: "Resume", nproc: int, **over: Any) -> None:
        from nielsgpt.system import launcher
        from nielsgpt.training import assemble

        workspace = resettled(
            workspace, {"training": {phase: phase_overrides(workspace, phase, resume, **over)}}
        )
        if phase == "sft":
            workspace = assemble.with_shape_of_start(workspace, phase)
        if launcher.is_member():
            if nproc > 1:
                raise click.UsageError(
                    "--nproc starts processes of its own, but RANK and WORLD_SIZE are set as "
                    "torchrun sets them; unset both, or leave --nproc out"
                )
            _as_member(workspace, phase, resume)
        elif nproc > 1:
            in_processes(workspace, phase, resume, nproc)
        else:
            from nielsgpt.pipeline import pipeline, train_phase

            train_phase.check(workspace, phase, resume)
            pipeline.caches(workspace, phases=[phase])
            train_phase.train(workspace, phase, resume)

    how = "Resumes from the newest checkpoint of the phase. Ctrl-C saves and stops."
    return click.command(phase, help=f"{purpose}\n\n{how}")(train)


def phase_overrides(
    workspace: "Workspace",
    phase: "Phase",
    resume: "Resume",
    hours: float | None,
    minutes: float | None,
    more_steps: int | None,
    tokens: int | None,
    auto_microbatch: bool,
    init_from: str | None,
    no_strict: bool,
) -> dict[str, Any]:
    """The settings of the phase that the options change."""
    if sum(option is not None for option in (hours, minutes, more_steps, tokens)) > 1:
        raise click.UsageError("--hours, --minutes, --more-steps and --tokens exclude each other")
    over: dict[str, Any] = {"init_from": init_from}
    over["init_strict"] = False if no_strict else None
    over["micro_batch_size"] = 0 if auto_microbatch else None
    over["minutes"] = minutes if hours is None else 60 * hours
    over = {name: value for name, value in over.items() if value is not None}
    if more_steps is not None:
        over |= {"max_steps": _begun_at(workspace, phase, resume) + more_steps, "minutes": None}
    if tokens is not None:
        step = workspace.settings.phase(phase).batch_size * workspace.settings.model.context_length
        over |= {"max_steps": -(-tokens // step), "minutes": None}
    return over


def _begun_at(workspace: "Workspace", phase: "Phase", resume: "Resume") -> int:
    """The step that a run resumes from."""
    from nielsgpt.system.atomic_files import read_json

    if resume.fresh:
        return 0
    file = resume.path or workspace.checkpoints / phase / "latest.pt"
    return int((read_json(file.with_suffix(".json")) or {"step": 0})["step"])


def in_processes(workspace: "Workspace", phase: "Phase", resume: "Resume", nproc: int) -> None:
    """Bring a phase to its last step in many processes; leaves with their exit code if it is bad.

    What needs one process alone is done first.
    """
    from nielsgpt.checkpoint import checkpoint_file
    from nielsgpt.pipeline import pipeline, train_phase
    from nielsgpt.system import launcher
    from nielsgpt.system.atomic_files import write_json

    train_phase.check(workspace, phase, resume)
    check_sharing(workspace, phase, nproc)
    pipeline.caches(workspace, phases=[phase])
    steps = workspace.checkpoints / phase
    with tempfile.TemporaryDirectory(prefix="nielsgpt-") as folder:
        path = Path(folder) / "settings.json"
        write_json(path, workspace.settings.model_dump(mode="json"))
        words = [phase, "--config", str(path), *(["--no-resume"] if resume.fresh else [])]
        words += ["--resume", str(resume.path)] if resume.path else []
        code = launcher.run(
            words, nproc, lambda: next(iter(checkpoint_file.newest_first(steps)), None)
        )
    if code:
        raise click.exceptions.Exit(code)


def check_sharing(workspace: "Workspace", phase: "Phase", nproc: int) -> None:
    """Raise SettingsError where a batch of the phase cannot be shared among the processes."""
    from nielsgpt.distributed import partition

    phase_settings, parallel = workspace.settings.phase(phase), workspace.settings.device.parallel
    if nproc > 1 and phase_settings.micro_batch_size:
        partition.check_partition(
            parallel, phase_settings.batch_size, phase_settings.micro_batch_size, nproc
        )


def _as_member(workspace: "Workspace", phase: "Phase", resume: "Resume") -> None:
    """Train as one of a team: of `--nproc`, or of torchrun."""
    from nielsgpt.distributed.init import join_process_group
    from nielsgpt.pipeline import pipeline, train_phase
    from nielsgpt.system import launcher

    launcher.die_with_parent()
    with join_process_group(workspace.settings.device) as team:
        if not launcher.is_supervised():
            # One machine's processes share its files, and machines may share theirs.
            team.run_once_per_machine(lambda: pipeline.caches(workspace, phases=[phase]))
        train_phase.train(workspace, phase, resume, team)
