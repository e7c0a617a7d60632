"""The tokenizer's report as a picture: tokens per byte by script, and its most frequent pieces."""

import io
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from nielsgpt.report.drawing import CURVES
from nielsgpt.report.plots import DOTS_PER_INCH, STYLE
from nielsgpt.report.tokenizer_report import Report
from nielsgpt.system.workspace import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES = (9.0, 4.6)


def write(report: Report, path: Path) -> None:
    """Draw the report to a PNG file."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns where a home is read-only
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")  # a piece its font cannot draw
        figure = Figure(figsize=INCHES, layout="constrained")
        left, right = figure.subplots(1, 2)
        _scripts(left, report)
        _pieces(right, report)
        for axes in (left, right):
            axes.invert_yaxis()
            axes.grid(False, axis="y")
            axes.set_axisbelow(True)
        figure.legend(loc="outside upper left", ncols=2)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    with write_atomically(path) as target:
        target.write(file.getvalue())


def _scripts(axes: "Axes", report: Report) -> None:
    """Two bars a script: the built-in sample and the given text."""
    names = list(report["scripts_of_samples"])
    for place, (key, label) in enumerate(
        (("scripts_of_samples", "built-in sample"), ("scripts_of_text", "this text"))
    ):
        rates = [report[key].get(name, 0.0) for name in names]
        rows = [row + 0.4 * place - 0.2 for row in range(len(names))]
        axes.barh(rows, rates, height=0.38, color=CURVES[place], label=label)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(f"tokens per byte ({report['kind']}, {report['vocab_size']:,} ids)")


def _pieces(axes: "Axes", report: Report) -> None:
    """A bar for each of the most frequent pieces."""
    counts = [count for _, count, _ in report["top"]]
    axes.barh(range(len(counts)), counts, color=CURVES[0])
    axes.set_yticks(range(len(counts)), [piece for _, _, piece in report["top"]])
    axes.set_xlabel("times in this text")
    axes.xaxis.set_major_formatter(lambda value, position: f"{value:,.0f}")
