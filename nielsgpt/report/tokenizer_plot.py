"""A tokenizer report as a picture: tokens per byte by script, and the most frequent tokens."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from nielsgpt.report.drawing import CURVES
from nielsgpt.report.run_plots import render_figure
from nielsgpt.report.tokenizer_report import Report
from nielsgpt.system.atomic_files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (9.0, 4.6)
BAR_HEIGHT = 0.4  # of a row


def write(report: Report, path: Path) -> None:
    """Draw the report to a PNG file."""

    def paint(figure: "Figure") -> None:
        left, right = figure.subplots(1, 2)
        _draw_scripts(left, report)
        _draw_tokens(right, report)
        for axes in (left, right):
            axes.invert_yaxis()
            axes.grid(False, axis="y")
            axes.set_axisbelow(True)
        figure.legend(loc="outside upper left", ncols=2)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")  # a token its font cannot draw
        picture = render_figure(paint, inches=INCHES)
    with write_atomically(path) as file:
        file.write(picture)


def _draw_scripts(axes: "Axes", report: Report) -> None:
    """Two bars for each script: the built-in sample and the given text."""
    names = list(report["scripts_of_samples"])
    for index, (key, label) in enumerate(
        (("scripts_of_samples", "built-in sample"), ("scripts_of_text", "this text"))
    ):
        rates = [report[key].get(name, 0.0) for name in names]
        rows = [row + BAR_HEIGHT * index - BAR_HEIGHT / 2 for row in range(len(names))]
        axes.barh(rows, rates, height=0.38, color=CURVES[index], label=label)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(f"tokens per byte ({report['kind']}, {report['vocab_size']:,} ids)")


def _draw_tokens(axes: "Axes", report: Report) -> None:
    """A bar for each of the most frequent tokens."""
    counts = [count for _, count, _ in report["top"]]
    axes.barh(range(len(counts)), counts, color=CURVES[0])
    axes.set_yticks(range(len(counts)), [text for _, _, text in report["top"]])
    axes.set_xlabel("times in this text")
    axes.xaxis.set_major_formatter(lambda value, position: f"{value:,.0f}")
