"""nielsgpt bench."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import PATH, with_workspace

if TYPE_CHECKING:
    from nielsgpt.system.workspace import Workspace

ABOVE_0 = click.FloatRange(0, min_open=True)


@click.command("bench")
@with_workspace
@click.option("--grid", type=PATH, help="JSON list of configurations to measure.")
@click.option("--small", is_flag=True, help="Use the shipped grid for a few CPU cores.")
@click.option("--out", type=PATH, help="Folder for the results; by default bench/.")
@click.option(
    "--timeout-s",
    type=ABOVE_0,
    default=20.0,
    help="Time limit of a trial in seconds, without start-up.",
)
@click.option(
    "--max-micro-batch", type=click.IntRange(1), default=256, help="Largest micro-batch to try."
)
@click.option("--hours", type=ABOVE_0, default=8.0, help="Hours of training to rank for.")
@click.option(
    "--seconds-each", type=ABOVE_0, default=70.0, help="Time limit of a configuration in seconds."
)
def command(
    workspace: "Workspace",
    grid: Path | None,
    small: bool,
    out: Path | None,
    timeout_s: float,
    max_micro_batch: int,
    hours: float,
    seconds_each: float,
) -> None:
    """Measure which models fit on this machine and how fast they train.

    Each configuration runs in its own processes. A stopped sweep resumes, and nothing is measured
    twice. Vocabulary size, optimizer and batch size come from the settings.
    """
    from nielsgpt.errors import best_effort
    from nielsgpt.experiments import grid as grids
    from nielsgpt.experiments import sweep_summary
    from nielsgpt.experiments.execution import execution_of_configuration
    from nielsgpt.experiments.sweep import SUMMARY, Sweep, SweepOptions
    from nielsgpt.report import run_plots

    if grid is not None and small:
        raise click.UsageError("--grid and --small exclude each other")
    chosen, warnings = grids.read(grid) if grid else (grids.build_preset(small), [])
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    phase = workspace.settings.training.pretrain
    folder = out or workspace.root / "bench"
    options = SweepOptions(
        folder=folder,
        vocab_size=workspace.settings.tokenizer.vocab_size,
        optimizer=phase.optimizer,
        batch_size=phase.batch_size,
        timeout_s=timeout_s,
        max_micro_batch=max_micro_batch,
        hours=hours,
        seconds_each=seconds_each,
    )
    entries = Sweep(
        options, lambda configuration: execution_of_configuration(workspace, configuration)
    ).run(chosen)
    rows = [entry.best for entry in sweep_summary.rank_results(entries) if entry.best]
    paths = [folder / SUMMARY]
    if rows:
        points = [(row["params"], row["tokens_per_second"], _label(row)) for row in rows]
        with best_effort("the plot"):
            run_plots.write_throughput(folder / "throughput.png", points)
            paths.append(folder / "throughput.png")
    click.echo((folder / SUMMARY).read_text(encoding="utf-8"))
    click.echo(" ".join(map(str, paths)))


def _label(row: dict[str, object]) -> str:
    shape = row["job"]["shape"]  # type: ignore[index]
    return f"{shape['n_layer']} x {shape['n_embd']}, T {shape['context_length']}"
