"""nielsgpt tokenizer."""

from typing import TYPE_CHECKING

import click

from cli.options import with_workspace

if TYPE_CHECKING:
    from nielsgpt.workspace import Workspace


@click.command("tokenizer")
@with_workspace
def command(work: "Workspace") -> None:
    """Train the tokenizer on the configured text, unless it is up to date."""
    from nielsgpt import pipeline

    pipeline.tokenizer(work)
