"""nielsgpt exam."""

from typing import TYPE_CHECKING

import click

from cli import terminal
from cli.options import with_workspace

if TYPE_CHECKING:
    from nielsgpt.workspace import Workspace


@click.command("exam")
@with_workspace
@click.option(
    "--wrong",
    default=0,
    type=click.IntRange(0),
    metavar="N",
    help="Show the first N wrong answers.",
)
def command(work: "Workspace", wrong: int) -> None:
    """Ask the model what nielsgpt knows the answers to, in wordings that it never saw."""
    from nielsgpt import examination

    report = examination.examine(work)
    click.echo(examination.table(report))
    if wrong:
        terminal.write(f"{examination.wrong_answers(report, wrong)}\n")
