"""nielsgpt plan."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.bench import ABOVE_0
from cli.options import DEFAULT_CONFIG, PATH, resettled, settle, with_workspace
from cli.pipeline import timed

if TYPE_CHECKING:
    from nielsgpt.config.settings import Settings
    from nielsgpt.experiments.candidates import Candidate
    from nielsgpt.experiments.grid import Configuration
    from nielsgpt.experiments.plan import Planner
    from nielsgpt.system.workspace import Workspace


@click.command("plan")
@with_workspace
@click.option("--hours", type=ABOVE_0, help="Hours of training, both phases.")
@click.option("--minutes", type=ABOVE_0, help="Like --hours, in minutes.")
@click.option("--pilot-minutes", type=ABOVE_0, help="Minutes of pilot runs; by default 3 to 40.")
@click.option("--grid", type=PATH, help="JSON list of shapes, as for `nielsgpt bench`.")
@click.option("--batches", help="Batch sizes to choose from, such as 8,16,32.")
@click.option("--name", help="Name of the plan and of the model.")
def command(
    workspace: "Workspace",
    hours: float | None,
    minutes: float | None,
    pilot_minutes: float | None,
    grid: Path | None,
    batches: str | None,
    name: str | None,
) -> None:
    """Choose model size, batch size and learning rate for a time budget, from short runs here.

    Writes plans/NAME.json, a config that includes the time budget, and prints the command that
    trains with it. Measurements are kept, so repeating a plan takes seconds.
    """
    from nielsgpt.config import load
    from nielsgpt.experiments import grid as grids
    from nielsgpt.experiments import plan_summary
    from nielsgpt.experiments.pilots import PilotBudget
    from nielsgpt.experiments.plan import open_planner
    from nielsgpt.pipeline import pipeline
    from nielsgpt.system import machine
    from nielsgpt.system.folder_lock import lock
    from nielsgpt.system.signals import watch_stop_signals

    if (hours is None) == (minutes is None):
        raise click.UsageError("give the time with --hours or with --minutes")
    whole_s = 60 * (minutes or 60 * (hours or 0.0))
    run_s = whole_s * (1 - workspace.settings.training.sft_share)
    budget = PilotBudget.for_run(run_s, pilot_minutes and 60 * pilot_minutes)
    name = name or f"{workspace.settings.name}-{f'{hours:g}h' if hours else f'{minutes:g}m'}"
    resettled(workspace, {"name": name})
    _check_place(workspace, name)
    rows = _rows(batches)
    shapes, warnings = grids.read(grid) if grid else ([], [])
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    planner = open_planner(workspace, pipeline.caches(workspace))
    chosen = _candidates(planner, workspace, shapes, rows)
    with lock(workspace.root / "bench"), watch_stop_signals() as planner.stop_signals:
        plan = planner.plan(chosen, budget)
    click.echo(plan_summary.format_table(plan, planner))
    now = datetime.now().astimezone()
    click.echo(f"\n{plan_summary.describe_choice(plan, planner, whole_s - run_s, now)}")
    spare = machine.available_bytes() / 2**30
    click.echo(f"free now: {spare:.1f} GiB of memory, {_disk(workspace):.1f} GiB of disk")
    option = plan.chosen
    full = planner.settings_for(option, option.steps)
    times = timed(round(option.seconds / 60, 2), round((whole_s - run_s) / 60, 2))
    full = load.override(full, times, "the plan")
    click.echo(f"\nnielsgpt pipeline --config {write_config(workspace, full, name)}")


def _candidates(
    planner: "Planner", workspace: "Workspace", grid: "list[Configuration]", rows: list[int]
) -> "list[Candidate]":
    """The shapes of a grid, else of a bench, else around the settings' own, in each batch."""
    from nielsgpt.experiments import candidates, worker
    from nielsgpt.experiments.results_store import ResultsStore
    from nielsgpt.experiments.sweep import RESULTS

    own = workspace.settings.model
    if grid:
        shapes = [candidates.adopt_shape(own, one.shape) for one in grid]
    else:
        known = ResultsStore(workspace.root / "bench" / RESULTS, worker.run_job).rows.values()
        shapes = candidates.select_bench_shapes(
            known, workspace.settings, planner.throughput.vocab_size
        )
    return candidates.list_candidates(workspace.settings, shapes, rows)


def _rows(batches: str | None) -> list[int]:
    """The numbers of --batches. Raises a click error where they are none."""
    try:
        rows = [int(word) for word in (batches or "").split(",") if word]
    except ValueError:
        rows = [0]
    if any(row < 1 for row in rows):
        raise click.UsageError(f"--batches {batches!r} is not a list of whole numbers above 0")
    return rows


def write_config(workspace: "Workspace", settings: "Settings", name: str) -> Path:
    """Write plans/NAME.json, what these settings say and the given config does not; and copy the
    tokenizer to the new name, so that it is not trained once more. The caches are shared."""
    import os
    import shutil
    from dataclasses import replace

    from nielsgpt.config.load import difference, override
    from nielsgpt.system.atomic_files import write_json

    given, path = _given(), _place(workspace, name)
    extends = os.path.relpath(given, path.parent) if Path(given).is_file() else given
    cache = settings.data.cache_dir or f"data/cache/{settings.name}"
    settings = override(settings, {"name": name, "data": {"cache_dir": cache}}, "the plan")
    base = settle(given).settings.model_dump(mode="json")
    write_json(path, {"extends": extends, **difference(settings.model_dump(mode="json"), base)})
    to = replace(workspace, settings=settings).tokenizer
    if not to.exists() and workspace.tokenizer.exists():
        shutil.copytree(workspace.tokenizer, to, ignore=shutil.ignore_patterns(".lock"))
    return path


def _given() -> str:
    return click.get_current_context().params.get("config") or DEFAULT_CONFIG


def _place(workspace: "Workspace", name: str) -> Path:
    return workspace.root / "plans" / f"{name}.json"


def _check_place(workspace: "Workspace", name: str) -> None:
    """Raise a click error for a plan that would be written over the config that it extends."""
    path = _place(workspace, name)
    if path.resolve() == Path(_given()).resolve():
        raise click.UsageError(f"the plan {path} would extend itself; give it another --name")


def _disk(workspace: "Workspace") -> float:
    from nielsgpt.system import machine

    return machine.free_disk_bytes(workspace.root.resolve()) / 2**30
