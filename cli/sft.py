"""nielsgpt sft."""

from typing import TYPE_CHECKING

import click

from cli.options import resume_options, with_workspace

if TYPE_CHECKING:
    from nielsgpt.phases import Resume
    from nielsgpt.workspace import Workspace


@click.command("sft")
@with_workspace
@resume_options
def command(work: "Workspace", resume: "Resume") -> None:
    """Teach the pretrained model to chat: the second phase.

    Goes on from the phase's newest checkpoint by itself. Ctrl-C saves first.
    """
    from nielsgpt import phases, pipeline

    pipeline.caches(work)
    phases.train(work, "sft", resume)
