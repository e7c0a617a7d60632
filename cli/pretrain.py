"""nielsgpt pretrain."""

from typing import TYPE_CHECKING

import click

from cli.options import resume_options, with_workspace

if TYPE_CHECKING:
    from nielsgpt.phases import Resume
    from nielsgpt.workspace import Workspace


@click.command("pretrain")
@with_workspace
@resume_options
def command(work: "Workspace", resume: "Resume") -> None:
    """Train the model on text: the first phase.

    Goes on from the phase's newest checkpoint by itself. Ctrl-C saves first.
    """
    from nielsgpt import phases, pipeline

    pipeline.caches(work)
    phases.train(work, "pretrain", resume)
