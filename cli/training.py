"""What `pretrain` and `sft` share: everything but the phase, and in how many processes it runs."""

import sys
from typing import TYPE_CHECKING

import click

from cli.options import resume_options, with_workspace

if TYPE_CHECKING:
    from nielsgpt.resuming import Resume
    from nielsgpt.settings import Phase
    from nielsgpt.workspace import Workspace


def training_command(phase: "Phase", purpose: str) -> click.Command:
    """The command that brings one phase to its last step."""

    @with_workspace
    @resume_options
    @click.option(
        "--nproc", type=click.IntRange(1), default=1, help="Processes on this machine that share it."
    )
    def train(work: "Workspace", resume: "Resume", nproc: int) -> None:
        from nielsgpt import launch

        if launch.is_member():
            _as_member(work, phase, resume)
        elif nproc > 1:
            in_processes(work, phase, sys.argv[1:], nproc)
        else:
            from nielsgpt import phases, pipeline

            pipeline.caches(work)
            phases.train(work, phase, resume)

    how = "Goes on from the phase's newest checkpoint by itself. Ctrl-C saves first."
    return click.command(phase, help=f"{purpose}\n\n{how}")(train)


def in_processes(work: "Workspace", phase: "Phase", words: list[str], nproc: int) -> None:
    """Run the command `words` of one phase in many processes; leaves with their exit code, if any.

    What needs one process alone is done first.
    """
    from nielsgpt import launch, pipeline

    pipeline.caches(work)
    folder = work.checkpoints / phase
    code = launch.run(words, nproc, lambda: max(folder.glob("step_*.pt"), default=None))
    if code:
        raise click.exceptions.Exit(code)


def _as_member(work: "Workspace", phase: "Phase", resume: "Resume") -> None:
    """Train as one of a team: of `--nproc`, or of torchrun."""
    from nielsgpt import launch, phases, pipeline
    from nielsgpt.parallel.processes import joined

    launch.die_with_parent()
    with joined(work.settings.device) as team:
        if not launch.is_supervised():
            # One machine's processes share its files, and machines may share theirs.
            team.in_turn(lambda: pipeline.caches(work))
        phases.train(work, phase, resume, team)
