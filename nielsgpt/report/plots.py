"""The curves of one run or of several over each other: PNG files, and SVG text for a page.

Colours are drawn as on a light ground; in the SVG each becomes a variable, so that a page may show
the same drawing on a dark one.
"""

import io
import logging
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nielsgpt.report.drawing import INKS, Curve, Plot, draw, draw_plot
from nielsgpt.report.run_reader import RunRecord
from nielsgpt.system.workspace import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES, DOTS_PER_INCH = (5.6, 3.1), 160
STYLE: Any = {  # matplotlib spells out every key in the type that it takes
    "font.size": 9.5,
    "axes.edgecolor": INKS["grid"][0],
    "axes.labelcolor": INKS["text"][0],
    "text.color": INKS["text"][0],
    "xtick.color": INKS["text"][0],
    "ytick.color": INKS["text"][0],
    "grid.color": INKS["grid"][0],
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "nielsgpt",
    "svg.image_inline": True,
}


def _losses(record: RunRecord) -> list[Curve]:
    averaged = not math.isnan(record.last("val_loss_ema"))
    return [
        Curve("train_loss", "training", noisy=True),
        Curve("val_loss_raw", "validation, raw" if averaged else "validation"),
        Curve("val_loss_ema", "validation, mean of the weights"),
    ]


def _bits(record: RunRecord) -> list[Curve]:
    names = [name for name in record.rows if name.endswith("_bits_per_byte")]
    sources = [name for name in names if name != "val_bits_per_byte"]
    mix = [Curve("val_bits_per_byte", "the mix")] if len(sources) != 1 else []
    return [*mix, *(Curve(name, name.removesuffix("_bits_per_byte")) for name in sources)]


def _one(column: str, noisy: bool = False) -> Callable[[RunRecord], list[Curve]]:
    return lambda record: [Curve(column, "", noisy)]


PLOTS = (
    Plot("loss", "Loss", "tokens_seen", "nats per token", _losses, "settling", marked=True),
    Plot(
        "loss_over_time",
        "Loss over time",
        "time_sec",
        "nats per token",
        _losses,
        "settling",
        marked=True,
    ),
    Plot("bits_per_byte", "Validation", "tokens_seen", "bits per byte", _bits, "settling"),
    Plot("learning_rate", "Learning rate", "tokens_seen", "learning rate", _one("lr"), "from zero"),
    Plot(
        "gradient_norm",
        "Gradient norm before clipping",
        "tokens_seen",
        "global norm",
        _one("grad_norm", noisy=True),
        "logarithmic",
        marked=True,
    ),
    Plot(
        "throughput",
        "Speed",
        "tokens_seen",
        "tokens per second",
        _one("throughput_tps", noisy=True),
        "from zero",
    ),
)


def svgs(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """(title, SVG text) of each plot for which there are numbers; the same bytes every time."""
    found = []
    for plot in PLOTS:
        if any(draw_plot(plot, record) for record in records):
            text = _render_plot(plot, records, "svg", transparent=True).decode("utf-8")
            found.append((plot.title, _apply_theme(text, plot.name, plot.title)))
    return found


def write(record: RunRecord, folder: Path) -> list[Path]:
    """PNG files of the plots for which there are numbers, in the folder."""
    paths = []
    for plot in PLOTS:
        if draw_plot(plot, record):
            paths.append(folder / f"{plot.name}.png")
            with write_atomically(paths[-1]) as file:
                file.write(_render_plot(plot, [record], "png", dpi=DOTS_PER_INCH))
    return paths


def _render_plot(plot: Plot, records: Sequence[RunRecord], form: str, **options: Any) -> bytes:
    """The drawing as a file's bytes, without a date."""
    columns = 3 if len(records) == 1 else 2
    return _render(lambda axes: draw(axes, plot, records), form, columns, **options)


def picture(name: str, title: str, paint: Callable[["Axes"], None]) -> str:
    """SVG text, to stand in a page, of what `paint` draws."""
    return _apply_theme(_render(paint, "svg", 2, transparent=True).decode("utf-8"), name, title)


def _render(paint: Callable[["Axes"], None], form: str, columns: int, **options: Any) -> bytes:
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns where a home is read-only
    import matplotlib
    from matplotlib.figure import Figure

    without = {"svg": {"Date": None, "Creator": None, "Format": None, "Type": None}}
    file = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.subplots()
        paint(axes)
        if axes.get_legend_handles_labels()[1]:
            figure.legend(loc="outside upper left", ncols=columns)
        metadata = without.get(form, {"Software": None})
        figure.savefig(file, format=form, metadata=metadata, **options)
    return file.getvalue()


def _apply_theme(svg: str, name: str, title: str) -> str:
    """SVG to stand in a page: its colours are variables, its ids its own, its size the column's."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</defs>\s*", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:xmlns(?::\w+)?|width|height|version)="[^"]*"', "", svg, count=5)
    used = set(re.findall(r'(?:url\(|href=")#([\w.-]+)', svg))
    svg = re.sub(r' id="([\w.-]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'(url\(|href=")#', rf"\g<1>#{name}-", svg).replace("xlink:href", "href")
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)
    for ink, (light, _) in INKS.items():
        svg = svg.replace(light, f"var(--{ink})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
