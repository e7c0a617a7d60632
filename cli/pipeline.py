"""nielsgpt pipeline."""

from typing import TYPE_CHECKING

import click

from cli.options import with_workspace

if TYPE_CHECKING:
    from nielsgpt.workspace import Workspace


@click.command("pipeline")
@with_workspace
@click.option("--no-resume", is_flag=True, help="Train anew; the old files are set aside.")
def command(work: "Workspace", no_resume: bool) -> None:
    """From nothing to an examined chat model: tokenizer, caches, pretraining, SFT, exam.

    Every stage that is up to date is skipped; a stopped run goes on where it was.
    """
    from nielsgpt import examination, pipeline

    report = pipeline.run(work, no_resume)
    marks = f"\n{examination.table(report)}\n" if report else ""
    click.echo(f"{marks}\n{pipeline.farewell(work)}")
