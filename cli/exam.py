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
    help="Print the first N wrong answers.",
)
@click.option("--final", is_flag=True, help="Ask the questions reserved for a final score.")
def command(workspace: "Workspace", wrong: int, final: bool) -> None:
    """Score the model on questions with known answers that training phrased differently.

    Also on your own text: whether it finds the true continuation of a passage, and how many
    passages it repeats word for word.
    """
    from nielsgpt.checkpoint import exam_report
    from nielsgpt.pipeline.exam import run_exam

    report = run_exam(workspace, final)
    click.echo(exam_report.format_table(report))
    if wrong:
        terminal.write(f"{exam_report.format_wrong_answers(report, wrong)}\n")
