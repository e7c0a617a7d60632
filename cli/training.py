"""What `pretrain` and `sft` share: everything but the phase."""

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
    def train(work: "Workspace", resume: "Resume") -> None:
        from nielsgpt import phases, pipeline

        pipeline.caches(work)
        phases.train(work, phase, resume)

    how = "Goes on from the phase's newest checkpoint by itself. Ctrl-C saves first."
    return click.command(phase, help=f"{purpose}\n\n{how}")(train)
