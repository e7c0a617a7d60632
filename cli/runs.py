"""nielsgpt runs: list, show and compare runs."""

from datetime import UTC, datetime

import click

from cli.options import root


@click.group("runs", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List runs, newest first. ID is a run's id, an unambiguous part of it, or latest."""
    if context.invoked_subcommand is None:
        from nielsgpt.format import align_columns
        from nielsgpt.report import run_figures, run_reader

        found = run_reader.read_all(root() / "runs")
        if found:
            click.echo(align_columns(run_figures.list_runs(found, datetime.now(UTC))))
        else:
            click.echo("no runs yet; 'nielsgpt pipeline' makes one")


@command.command("show")
@click.argument("name", metavar="ID")
def show(name: str) -> None:
    """Write a run's report.html and plots, and print their path."""
    from nielsgpt.report import page, run_reader

    record = run_reader.find(root() / "runs", name)
    exam = run_reader.read_exam(record, root() / "checkpoints")
    click.echo(page.write(record.folder, exam))


@command.command("compare")
@click.argument("names", metavar="ID ID...", nargs=-1)
def compare(names: tuple[str, ...]) -> None:
    """Compare several runs: metrics, settings that differ, and plots."""
    from nielsgpt.format import align_columns
    from nielsgpt.report import page, run_figures, run_reader

    runs = root() / "runs"
    found = {record.run_id: record for record in (run_reader.find(runs, name) for name in names)}
    chosen = list(found.values())
    if not 2 <= len(chosen) <= page.MAX_COMPARED:
        raise click.UsageError(
            f"compare takes 2 to {page.MAX_COMPARED} different runs, not {len(chosen)}"
        )
    table = run_figures.compare_figures(chosen)
    click.echo(align_columns([*table, *run_figures.compare_settings(chosen)]))
    click.echo(page.compare(runs, chosen))
