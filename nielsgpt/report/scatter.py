"""Speed over parameters: a sweep's points as a PNG file."""

import io
import logging
from collections.abc import Sequence
from pathlib import Path

from nielsgpt.report.drawing import CURVES
from nielsgpt.report.plots import DOTS_PER_INCH, INCHES, STYLE
from nielsgpt.system.workspace import write_atomically

Point = tuple[float, float, str]  # parameters, tokens a second, what it is


def write(path: Path, points: Sequence[Point]) -> None:
    """Draw the points, those of one label in one colour; the same bytes every time."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns where a home is read-only
    import matplotlib
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.subplots()
        for number, label in enumerate(dict.fromkeys(label for *_, label in points)):
            own = [(x / 1e6, y) for x, y, name in points if name == label]
            axes.scatter(*zip(*own, strict=True), color=CURVES[number % len(CURVES)], label=label)
        axes.set_xlabel("million parameters")
        axes.set_ylabel("tokens per second")
        axes.set_xlim(left=0.0)
        axes.set_ylim(bottom=0.0)
        figure.legend(loc="outside upper left", ncols=3)
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    with write_atomically(path) as out:
        out.write(file.getvalue())
