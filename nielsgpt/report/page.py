"""The report of a run as one HTML page, and of several runs side by side; no scripts, no links.

Model output is untrusted text: the templates escape everything except the drawings, and the page's
content security policy also forbids scripts and requests.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nielsgpt.checkpoint.exam_report import ExamReport, list_verbatim
from nielsgpt.format import format_bytes
from nielsgpt.report import run_plots
from nielsgpt.report.drawing import CURVES, INKS
from nielsgpt.report.run_figures import FIGURES, NONE, compare_figures, compare_settings, flatten
from nielsgpt.report.run_reader import RunRecord, read
from nielsgpt.system.atomic_files import write_text
from nielsgpt.training.run_log import SETTINGS, RunMeta

PAGE, PLOTS_FOLDER = "report.html", "plots"
MAX_COMPARED = len(CURVES)
CARDS = (
    *("best bits per byte", "tokens/s", "share of measured peak", "peak memory"),
    *("parameters", "tokens", "steps", "time"),
)
LAST_SHOWN = 3  # evaluations whose samples are shown side by side
UNIT_FORMATS: dict[str, Callable[[float], str]] = {
    "bytes": format_bytes,
    "flops": lambda value: f"{value / 1e9:,.0f} GFLOP/s",
}
Pair = tuple[str, str]


def write(folder: Path, exam: ExamReport | None) -> Path:
    """Write report.html and plots/*.png to a run's folder; returns the path of the page.

    `exam` is the content of checkpoints/<name>/exam.json if it scored this run's weights.
    """
    record = read(folder)
    run_plots.write(record, folder / PLOTS_FOLDER)
    steps, samples = _collect_samples(record)
    text = fill(
        "page.html.j2",
        record=record,
        outcome=record.outcome(datetime.now(UTC)),
        cards=[(name, FIGURES[name](record)) for name in CARDS],
        curves=_draw_curves([record]),
        exam=exam,
        verbatim=list_verbatim(exam) if exam else [],
        steps=steps,
        samples=samples,
        last_shown=LAST_SHOWN,
        metadata=_list_metadata(record),
        settings=list(flatten(record.settings)),
        commands=_list_commands(record),
    )
    write_text(folder / PAGE, text)
    return folder / PAGE


def compare(runs: Path, records: Sequence[RunRecord]) -> Path:
    """Write runs/compare-<short ids>.html: figures, overlaid curves, and settings that differ."""
    text = fill(
        "compare.html.j2",
        records=records,
        colors=[name for name in INKS if name.startswith("curve")],
        figures=compare_figures(records),
        curves=_draw_curves(records),
        settings=compare_settings(records),
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


def _draw_curves(records: Sequence[RunRecord]) -> list[tuple[str, Markup]]:
    # matplotlib escapes the labels; the rest is its own and ours.
    return [(title, Markup(text)) for title, text in run_plots.draw_svgs(records)]


def _collect_samples(
    record: RunRecord,
) -> tuple[list[int], list[tuple[str, list[tuple[int, str]]]]]:
    """The steps of the evaluations, and each prompt with its (step, reply) in order."""
    samples: dict[str, dict[int, str]] = {}
    for line in record.samples:
        samples.setdefault(str(line.get("prompt")), {})[line["step"]] = str(line.get("reply"))
    steps = sorted({step for replies in samples.values() for step in replies})
    return steps, [(prompt, sorted(replies.items())) for prompt, replies in samples.items()]


def _list_metadata(record: RunRecord) -> list[tuple[str, list[Pair]]]:
    """Titled tables of what the run trained on and from; empty ones are left out."""
    meta = record.meta
    hardware = _subtree(meta, "hardware") | {"matrix_products_flops": meta.get("peak_flops")}
    weights = {"weights sha256": meta.get("weights_sha256"), **_subtree(meta, "origin")}
    versions = {"version": meta.get("version"), "seed": meta.get("seed")}
    dates = {"created": meta.get("created_at"), "ended": meta.get("ended_at")}
    trees: dict[str, Mapping[str, object]] = {
        "Machine": hardware,
        "Execution": {**_subtree(meta, "engine"), "memory": meta.get("memory")},
        "Data and weights": weights,
        "Run": {"run": record.run_id, **versions, **dates},
    }
    tables = {title: _format_leaves(tree) for title, tree in trees.items()}
    return [(title, pairs) for title, pairs in tables.items() if pairs]


def _subtree(meta: RunMeta, name: str) -> dict[str, object]:
    value = meta.get(name)
    return value if isinstance(value, dict) else {}


def _format_leaves(tree: Mapping[str, object]) -> list[Pair]:
    """The known leaves as text; a number whose name ends in a unit is shown in that unit."""
    pairs = []
    known = {name: value for name, value in tree.items() if value is not None}
    for name, text in flatten(known):
        stem, _, unit = name.rpartition("_")
        if unit in UNIT_FORMATS and text.replace(".", "", 1).isdecimal():
            name, text = stem, UNIT_FORMATS[unit](float(text))
        pairs.append((name.replace("_", " "), text))
    return pairs


def _list_commands(record: RunRecord) -> list[Pair]:
    """The command of this run, and one that trains again from the settings in its folder."""
    argv = record.meta.get("command")
    command = shlex.join(map(str, argv)) if isinstance(argv, list) and argv else NONE
    settings = f"runs/{record.run_id}/{SETTINGS}"
    again = ["nielsgpt", "pipeline", "--config", settings, "--set", f"name={record.name}-again"]
    return [
        ("This run", command),
        ("The same settings again, under another name", shlex.join(again)),
    ]
