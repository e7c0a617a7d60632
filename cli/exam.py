"""nielsgpt exam."""

from typing import TYPE_CHECKING

import click

from cli import terminal
from cli.options import with_workspace

if TYPE_CHECKING:
    from nielsgpt.system.workspace import Workspace


@click.command("exam")
@with_workspace
@click.option(
    "--wrong",
    default=0,
    type=click.IntRange(0),
    metavar="N",
    help="Show the first N wrong answers.",
)
def command(workspace: "Workspace", wrong: int) -> None:
    """Ask the model what nielsgpt knows the answers to, in wordings that it never saw."""
    from nielsgpt.pipeline import exam

    report = exam.run_exam(workspace)
    click.echo(exam.table(report))
    if wrong:
        terminal.write(f"{exam.wrong_answers(report, wrong)}\n")
