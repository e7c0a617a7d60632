"""nielsgpt caches."""

from typing import TYPE_CHECKING

import click

from cli.options import with_workspace

if TYPE_CHECKING:
    from nielsgpt.workspace import Workspace


@click.command("caches")
@with_workspace
def command(work: "Workspace") -> None:
    """Tokenize the configured sources, unless their caches are up to date."""
    from nielsgpt import pipeline

    pipeline.caches(work)
