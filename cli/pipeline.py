"""nielsgpt pipeline."""

from typing import TYPE_CHECKING, Any

import click

from cli.options import resettled, with_workspace
from cli.training import check_sharing, in_processes, nproc_option

if TYPE_CHECKING:
    from nielsgpt.system.workspace import Workspace

STAGES = ("tokenizer", "caches", "pretrain", "sft", "exam", "mix", "train", "all")


@click.command("pipeline")
@with_workspace
@click.option("--no-resume", is_flag=True, help="Same as --rebuild pretrain.")
@click.option(
    "--rebuild",
    multiple=True,
    type=click.Choice(STAGES),
    help="Run this stage again, and those that depend on it; old files are set aside.",
)
@click.option("--only", type=click.Choice(["pretrain"]), help="Pretraining alone, without SFT.")
@nproc_option
@click.option(
    "--hours", type=click.FloatRange(0, min_open=True), help="Time budget for both training phases."
)
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), help="Like --hours, in minutes."
)
def command(
    workspace: "Workspace",
    no_resume: bool,
    rebuild: tuple[str, ...],
    only: str | None,
    nproc: int,
    hours: float | None,
    minutes: float | None,
) -> None:
    """Run all stages: tokenizer, caches, pretraining, SFT, exam.

    Stages that are up to date are skipped, and a stopped run resumes. A trained model is kept when
    its text or settings change: a table lists the changes, and --rebuild runs a stage again.
    """
    from nielsgpt.checkpoint.exam_report import format_table
    from nielsgpt.pipeline import pipeline, train_phase
    from nielsgpt.training.run import AUTOMATIC

    if hours and minutes:
        raise click.UsageError("--hours and --minutes exclude each other")
    if only:
        workspace = resettled(workspace, {"data": {"mix_sft": {}}})
    phases = workspace.settings.phases
    if hours or minutes:
        workspace = resettled(workspace, shared(workspace, minutes or 60 * (hours or 0.0)))
    for phase in phases:
        check_sharing(workspace, phase, nproc)  # before anything is set aside
    if again := {*rebuild, *(["pretrain"] if no_resume else [])}:
        pipeline.rebuild(workspace, again)
    for phase in phases if nproc > 1 else ():
        if not train_phase.is_finished(workspace, phase):
            in_processes(workspace, phase, AUTOMATIC, nproc)
    report = pipeline.run(workspace)
    click.echo(f"\n{format_table(report)}\n\n{pipeline.farewell(workspace)}")


def shared(workspace: "Workspace", minutes: float) -> dict[str, Any]:
    """The time of training, shared between the phases."""
    chats = "sft" in workspace.settings.phases
    share = workspace.settings.training.sft_share if chats else 0.0
    return timed(minutes * (1 - share), minutes * share)


def timed(pretrain: float, sft: float) -> dict[str, Any]:
    """The settings that give each phase its minutes; a phase without any is left as it is."""
    parts = {"pretrain": pretrain, "sft": sft}
    return {"training": {phase: {"minutes": part} for phase, part in parts.items() if part}}
