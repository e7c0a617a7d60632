"""An import as a page with pictures: files read, left out and repeated."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from nielsgpt.report.drawing import CURVES
from nielsgpt.report.page import fill
from nielsgpt.report.run_plots import draw_picture
from nielsgpt.system.atomic_files import write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 12


@dataclass(frozen=True)
class ImportPage:
    """Everything that the page shows, in words and numbers."""

    cards: Sequence[tuple[str, str]]
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    private: Sequence[Sequence[str]]
    lengths: Sequence[int]
    languages: Mapping[str, int]
    repeats: Mapping[str, int] = field(default_factory=dict)


def write_page(page: ImportPage, path: Path) -> None:
    """Write the page; every word of a file is escaped."""
    drawings = [
        ("Lengths of documents", _histogram("lengths", page.lengths)),
        ("Languages", _bars("languages", page.languages, "characters")),
        ("Repeats left out", _bars("repeats", page.repeats, "times")),
    ]
    shown = [(title, Markup(svg)) for title, svg in drawings if svg]
    write_text(path, fill("import.html.j2", page=page, curves=shown))


def _histogram(name: str, lengths: Sequence[int]) -> str:
    if not lengths:
        return ""

    def paint(axes: "Axes") -> None:
        import numpy as np
        from matplotlib.ticker import MaxNLocator, NullFormatter

        edges = np.geomspace(max(1, min(lengths)), max(lengths) + 1, 25)
        axes.hist(list(lengths), edges.tolist(), color=CURVES[0])
        axes.set_xscale("log")
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter(_write_number)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("characters of a document")
        axes.set_ylabel("documents")

    return draw_picture(name, "Lengths of documents", paint)


def _bars(name: str, counts: Mapping[str, int], unit: str) -> str:
    top = [(label, count) for label, count in Counter(counts).most_common(MOST_BARS) if count]
    if not top:
        return ""

    def paint(axes: "Axes") -> None:
        from matplotlib.ticker import MaxNLocator

        axes.barh(range(len(top)), [count for _, count in top], color=CURVES[1])
        axes.set_yticks(range(len(top)), [label for label, _ in top])
        axes.invert_yaxis()
        axes.grid(False, axis="y")
        axes.set_axisbelow(True)
        axes.set_xlabel(unit)
        axes.xaxis.set_major_formatter(_write_number)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))

    return draw_picture(name, name, paint)


def _write_number(value: float, position: float) -> str:
    return f"{value:,.0f}"
