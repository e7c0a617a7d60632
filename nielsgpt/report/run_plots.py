"""Plots: the curves of one or several runs, and a sweep's throughput, as PNG files or SVG text.

Drawings use the colors of a light background; in SVG for a page each color becomes a CSS variable,
so that the page can show the same drawing on a dark background.
"""

import io
import logging
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nielsgpt.report.drawing import CURVES, INKS, Curve, Plot, collect_curves, draw
from nielsgpt.report.run_reader import RunRecord
from nielsgpt.system.atomic_files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES, DOTS_PER_INCH = (5.6, 3.1), 160
STYLE: Any = {  # matplotlib's own type lists every key
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
# A date in a file, or matplotlib's version, would make the same plot differ every time.
NO_METADATA: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
    "png": {"Software": None},
}
Point = tuple[float, float, str]  # parameters, tokens per second, label


def _loss_curves(record: RunRecord) -> list[Curve]:
    has_ema = not math.isnan(record.last("val_loss_ema"))
    return [
        Curve("train_loss", "training", noisy=True),
        Curve("val_loss_raw", "validation, raw" if has_ema else "validation"),
        Curve("val_loss_ema", "validation, EMA of the weights"),
    ]


def _bits_per_byte_curves(record: RunRecord) -> list[Curve]:
    names = [name for name in record.rows if name.endswith("_bits_per_byte")]
    sources = [name for name in names if name != "val_bits_per_byte"]
    mix = [Curve("val_bits_per_byte", "the mix")] if len(sources) != 1 else []
    return [*mix, *(Curve(name, name.removesuffix("_bits_per_byte")) for name in sources)]


def _single_curve(column: str, noisy: bool = False) -> Callable[[RunRecord], list[Curve]]:
    return lambda record: [Curve(column, "", noisy)]


PLOTS = (
    Plot(
        "loss",
        "Loss",
        "tokens_seen",
        "nats per token",
        _loss_curves,
        "without warm-up",
        marked=True,
    ),
    Plot(
        "loss_over_time",
        "Loss over time",
        "time_sec",
        "nats per token",
        _loss_curves,
        "without warm-up",
        marked=True,
    ),
    Plot(
        "bits_per_byte",
        "Validation",
        "tokens_seen",
        "bits per byte",
        _bits_per_byte_curves,
        "without warm-up",
    ),
    Plot(
        "learning_rate",
        "Learning rate",
        "tokens_seen",
        "learning rate",
        _single_curve("lr"),
        "from zero",
    ),
    Plot(
        "gradient_norm",
        "Gradient norm before clipping",
        "tokens_seen",
        "global norm",
        _single_curve("grad_norm", noisy=True),
        "logarithmic",
        marked=True,
    ),
    Plot(
        "throughput",
        "Speed",
        "tokens_seen",
        "tokens per second",
        _single_curve("throughput_tps", noisy=True),
        "from zero",
    ),
)


def draw_svgs(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """(title, SVG text) of each plot that has data; the same bytes every time."""
    svgs = []
    for plot in PLOTS:
        if any(collect_curves(plot, record) for record in records):
            text = _render_plot(plot, records, "svg", transparent=True).decode("utf-8")
            svgs.append((plot.title, _apply_theme(text, plot.name, plot.title)))
    return svgs


def write(record: RunRecord, folder: Path) -> list[Path]:
    """Write a PNG file to the folder for each plot that has data; returns the paths."""
    paths = []
    for plot in PLOTS:
        if collect_curves(plot, record):
            paths.append(folder / f"{plot.name}.png")
            with write_atomically(paths[-1]) as file:
                file.write(_render_plot(plot, [record], "png"))
    return paths


def write_throughput(path: Path, points: Sequence[Point]) -> None:
    """Write a PNG file of tokens per second over parameters, a color for each label."""

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for number, label in enumerate(dict.fromkeys(label for *_, label in points)):
            xy = [(params / 1e6, speed) for params, speed, name in points if name == label]
            axes.scatter(*zip(*xy, strict=True), color=CURVES[number % len(CURVES)], label=label)
        axes.set_xlabel("million parameters")
        axes.set_ylabel("tokens per second")
        axes.set_xlim(left=0.0)
        axes.set_ylim(bottom=0.0)
        figure.legend(loc="outside upper left", ncols=3)

    with write_atomically(path) as file:
        file.write(render_figure(paint))


def draw_picture(name: str, title: str, paint: Callable[["Axes"], None]) -> str:
    """SVG text, to embed in a page, of what `paint` draws on axes."""

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        paint(axes)
        if axes.get_legend_handles_labels()[1]:
            figure.legend(loc="outside upper left", ncols=2)

    svg = render_figure(draw, "svg", transparent=True).decode("utf-8")
    return _apply_theme(svg, name, title)


def _render_plot(plot: Plot, records: Sequence[RunRecord], form: str, **options: Any) -> bytes:
    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        draw(axes, plot, records)
        if axes.get_legend_handles_labels()[1]:
            figure.legend(loc="outside upper left", ncols=3 if len(records) == 1 else 2)

    return render_figure(paint, form, **options)


def render_figure(
    paint: Callable[["Figure"], None],
    form: str = "png",
    inches: tuple[float, float] = INCHES,
    **options: Any,
) -> bytes:
    """The bytes of a file of what `paint` draws on a figure; `form` is png or svg."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns about a read-only home
    import matplotlib
    from matplotlib.figure import Figure

    file = io.BytesIO()
    if form == "png":
        options["dpi"] = DOTS_PER_INCH
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # else a matplotlibrc here or at home would have a say
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=inches, layout="constrained")
        paint(figure)
        figure.savefig(file, format=form, metadata=NO_METADATA[form], **options)
    return file.getvalue()


def _apply_theme(svg: str, name: str, title: str) -> str:
    """SVG to embed in a page: CSS variables as colors, unique ids, the width of its column."""
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
