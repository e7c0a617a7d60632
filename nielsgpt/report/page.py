"""A run as one page, and several side by side on one: no script, no link to anywhere.

What the model said is untrusted text: the templates escape everything but our own drawings, and
the page's content policy forbids scripts and requests besides.
"""

import shlex
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nielsgpt.report import plots
from nielsgpt.report.comparison import differing, flat
from nielsgpt.report.drawing import CURVES, INKS
from nielsgpt.report.run_figures import FIGURES, NONE, side_by_side, size
from nielsgpt.report.run_reader import RunRecord, Tree, read
from nielsgpt.system.workspace import write_text
from nielsgpt.training.run_log import SETTINGS

PAGE, PLOTS_FOLDER = "report.html", "plots"
MOST_COMPARED = len(CURVES)
CARDS = (
    *("best bits per byte", "tokens/s", "share of measured peak", "peak memory"),
    *("parameters", "tokens", "steps", "time"),
)
LAST_SHOWN = 3  # evaluations whose samples stand side by side
MEASURED: dict[str, Callable[[float], str]] = {
    "bytes": size,
    "flops": lambda value: f"{value / 1e9:,.0f} GFLOP/s",
}
Pair = tuple[str, str]


def write(folder: Path, exam: Tree | None) -> Path:
    """Make runs/<run_id>/report.html, and plots/*.png beside it, of the run in this folder.

    `exam` is the content of checkpoints/<name>/exam.json where it asked this run's weights.
    """
    record = read(folder)
    plots.write(record, folder / PLOTS_FOLDER)
    steps, samples = _samples(record)
    text = fill(
        "page.html.j2",
        record=record,
        outcome=record.outcome(datetime.now(UTC)),
        cards=[(name, FIGURES[name](record)) for name in CARDS],
        curves=_curves([record]),
        exam=exam,
        steps=steps,
        samples=samples,
        last_shown=LAST_SHOWN,
        facts=_facts(record),
        settings=list(flat(record.settings)),
        commands=_commands(record),
    )
    write_text(folder / PAGE, text)
    return folder / PAGE


def compare(runs: Path, records: Sequence[RunRecord]) -> Path:
    """Make runs/compare-<short ids>.html: figures, curves over each other, settings that differ."""
    text = fill(
        "compare.html.j2",
        records=records,
        colours=[name for name in INKS if name.startswith("curve")],
        figures=side_by_side(records),
        curves=_curves(records),
        settings=differing(records),
    )
    path = runs / f"compare-{'-'.join(record.short_id for record in records)}.html"
    write_text(path, text)
    return path


def fill(template: str, **values: Any) -> str:
    """The template with these values; all of them are escaped but our own drawings."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(inks=INKS, **values)


def _curves(records: Sequence[RunRecord]) -> list[tuple[str, Markup]]:
    # matplotlib escaped the labels; the rest is its own and ours.
    return [(title, Markup(text)) for title, text in plots.svgs(records)]


def _samples(record: RunRecord) -> tuple[list[int], list[tuple[str, list[tuple[int, str]]]]]:
    """The steps of the evaluations, and each prompt with its (step, reply) in order."""
    said: dict[str, dict[int, str]] = {}
    for line in record.samples:
        said.setdefault(str(line.get("prompt")), {})[line["step"]] = str(line.get("reply"))
    steps = sorted({step for replies in said.values() for step in replies})
    return steps, [(prompt, sorted(replies.items())) for prompt, replies in said.items()]


def _facts(record: RunRecord) -> list[tuple[str, list[Pair]]]:
    """What it ran on and from, as titled tables; those without a line are left out."""
    meta = record.meta
    hardware = _tree(meta, "hardware") | {"matrix_products_flops": meta.get("peak_flops")}
    weights = {"weights sha256": meta.get("weights_sha256"), **_tree(meta, "origin")}
    versions = {"version": meta.get("version"), "seed": meta.get("seed")}
    dates = {"created": meta.get("created_at"), "ended": meta.get("ended_at")}
    tables = {
        "Machine": hardware,
        "How it computed": {**_tree(meta, "engine"), "memory": meta.get("memory")},
        "Data and weights": weights,
        "Run": {"run": record.run_id, **versions, **dates},
    }
    shown = {title: _list_measurements(tree) for title, tree in tables.items()}
    return [(title, lines) for title, lines in shown.items() if lines]


def _tree(meta: Tree, name: str) -> Tree:
    value = meta.get(name)
    return value if isinstance(value, dict) else {}


def _list_measurements(tree: Tree) -> list[Pair]:
    """The leaves that are known, in words; numbers whose name ends in a unit with that unit."""
    lines = []
    for name, text in flat({name: value for name, value in tree.items() if value is not None}):
        words, _, unit = name.rpartition("_")
        if unit in MEASURED and text.replace(".", "", 1).isdecimal():
            name, text = words, MEASURED[unit](float(text))
        lines.append((name.replace("_", " "), text))
    return lines


def _commands(record: RunRecord) -> list[Pair]:
    """The command that was given, and the one that trains anew from the settings in the folder."""
    said = record.meta.get("command")
    given = shlex.join(map(str, said)) if isinstance(said, list) and said else NONE
    settings = f"runs/{record.run_id}/{SETTINGS}"
    again = ["nielsgpt", "pipeline", "--config", settings, "--set", f"name={record.name}-again"]
    return [("This was", given), ("The same settings again, under another name", shlex.join(again))]
