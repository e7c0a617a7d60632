"""Draw a plot of runs on matplotlib axes: which curves, in which colors, on which scale."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nielsgpt.report.run_reader import Column, RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# CSS variable of a page: its color on a light background, and on a dark one.
INKS = {
    "text": ("#22303c", "#e3e8ed"),
    "grid": ("#d9dfe5", "#3a444e"),
    "curve-1": ("#1d66ad", "#72b1f0"),
    "curve-2": ("#c4540d", "#f49b57"),
    "curve-3": ("#17805c", "#55c79a"),
    "curve-4": ("#7d43b3", "#c59bec"),
    "curve-5": ("#bd2a45", "#f3828f"),
    "curve-6": ("#0d7b8c", "#54c5d4"),
    "curve-7": ("#77591f", "#d3b273"),
    "curve-8": ("#5b6874", "#a8b4c0"),
    "skip": ("#a86f00", "#e0ad45"),
    "rollback": ("#a01c3c", "#ff7d92"),
}
CURVES = tuple(light for name, (light, _) in INKS.items() if name.startswith("curve"))
Points = tuple[Column, Column]
MARKED = {"skip": "skipped step", "rollback": "rolled back"}
FEW_POINTS = 30  # up to this many, each point has a dot
WARMUP_SHARE = 0.15  # share of a run after which the loss has to fit the frame
MAX_POINTS = 500  # a longer curve is drawn as the lowest and highest point of this many parts
UNITS = {
    "tokens_seen": ((1e9, "billion tokens"), (1e6, "million tokens"), (1e3, "thousand tokens")),
    "time_sec": ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds")),
}


@dataclass(frozen=True)
class Curve:
    """A column to draw; a `noisy` one is drawn faint, beneath its running mean."""

    column: str
    label: str
    noisy: bool = False


@dataclass(frozen=True)
class Plot:
    """A drawing: file name, title, x column, y label, and the curves that a run has for it.

    `scale` is a key of SCALES; a `marked` plot shows skipped and undone steps.
    """

    name: str
    title: str
    x: str
    y: str
    curves: Callable[[RunRecord], list[Curve]]
    scale: str
    marked: bool = False


def collect_curves(plot: Plot, record: RunRecord) -> list[tuple[Curve, Points]]:
    """The plot's curves with their finite points; curves without a point are left out."""
    x = record.column(plot.x)
    curves = []
    for curve in plot.curves(record):
        y = record.column(curve.column)
        finite = np.isfinite(x) & np.isfinite(y)
        if finite.any():
            curves.append((curve, (x[finite], y[finite])))
    return curves


def draw(axes: "Axes", plot: Plot, records: Sequence[RunRecord]) -> None:
    """Draw the plot: all curves of a single run, or one color for each of several runs."""
    divisor, unit = _choose_unit(plot.x, records)
    is_single = len(records) == 1
    for number, record in enumerate(records):
        for index, (curve, (x, y), is_main) in enumerate(_choose_curves(plot, record, is_single)):
            color = CURVES[(index if is_single else number) % len(CURVES)]
            label = curve.label if is_single else f"{record.short_id} {record.name}"
            x = x / divisor
            if is_single and curve.noisy and len(x) > FEW_POINTS:
                axes.plot(*_thin(x, y), color=color, linewidth=0.7, alpha=0.3)
            _draw_line(axes, (x, y), curve.noisy, {"color": color, "label": label}, is_main)
        if plot.marked and is_single:
            _mark_events(axes, record, plot.x, divisor)
    axes.set_xlabel(unit)
    axes.set_ylabel(plot.y)
    axes.yaxis.set_major_formatter(lambda value, position: f"{value:,.6g}")
    SCALES[plot.scale](axes)


def _choose_curves(
    plot: Plot, record: RunRecord, is_single: bool
) -> list[tuple[Curve, Points, bool]]:
    """The curves to draw, and whether each is a main one; of several runs, one main curve each."""
    curves = collect_curves(plot, record)
    steady = [curve for curve, _ in curves if not curve.noisy] or [curve for curve, _ in curves]
    main = [curve for curve, _ in curves] if is_single else steady[:1]
    return [
        (curve, points, curve in main) for curve, points in curves if curve.noisy or curve in main
    ]


def _draw_line(
    axes: "Axes", points: Points, noisy: bool, style: dict[str, Any], is_main: bool
) -> None:
    """A solid labeled line for a main curve, else a dotted one."""
    x, y = points
    is_short = len(x) <= FEW_POINTS
    if noisy and not is_short:
        y = _running_mean(y, len(y) // 80 + 1)
    if is_main:
        marker = "o" if is_short else ""
        axes.plot(*_thin(x, y), linewidth=1.6, marker=marker, markersize=3.5, **style)
    else:
        axes.plot(*_thin(x, y), linewidth=1.0, linestyle=":", color=style["color"])


def _mark_events(axes: "Axes", record: RunRecord, x: str, divisor: float) -> None:
    """A vertical line where a step was skipped or undone."""
    for kind, label in MARKED.items():
        steps = [event["step"] for event in record.events if event.get("kind") == kind]
        if steps:
            positions = np.interp(steps, record.column("iter"), record.column(x) / divisor)
            transform = axes.get_xaxis_transform()
            lines = axes.vlines(positions, 0.0, 1.0, transform=transform, label=label)
            lines.set(color=INKS[kind][0], linestyle="dashed", linewidth=0.9)


def _choose_unit(x: str, records: Sequence[RunRecord]) -> tuple[float, str]:
    """The largest unit that the longest run reaches."""
    longest = max((record.last(x) for record in records), key=lambda v: -1.0 if v != v else v)
    reached = (unit for unit in UNITS[x] if longest >= unit[0])
    return next(reached, UNITS[x][-1])


def _skip_warmup(axes: "Axes") -> None:
    """Crop the steep start where it would flatten the rest of the curve."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    later = [
        float(y[x > left + WARMUP_SHARE * (right - left)].max(initial=bottom))
        for x, y in _read_lines(axes)
        if len(x) > FEW_POINTS
    ]
    highest = max(later, default=bottom)
    if highest > bottom:
        axes.set_ylim(bottom, min(top, highest + 0.04 * (highest - bottom)))


def _use_log_scale(axes: "Axes") -> None:
    """A logarithmic axis where the values span a factor of ten; a linear one is easier to read."""
    values = np.concatenate([y for _, y in _read_lines(axes)])
    if values.max() < 10.0 * values.min():
        return
    from matplotlib.ticker import LogLocator, NullLocator

    formatter = axes.yaxis.get_major_formatter()
    axes.set_yscale("log", nonpositive="mask")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(formatter)


def _start_at_zero(axes: "Axes") -> None:
    axes.set_ylim(bottom=0.0)


def _read_lines(axes: "Axes") -> list[Points]:
    return [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in axes.lines]


SCALES: dict[str, Callable[["Axes"], None]] = {
    "from zero": _start_at_zero,
    "without warm-up": _skip_warmup,
    "logarithmic": _use_log_scale,
}


def _running_mean(values: Column, reach: int) -> Column:
    """The mean of each value with `reach` neighbors on either side, fewer at the ends."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    indices = np.arange(len(values))
    first, last = np.maximum(indices - reach, 0), np.minimum(indices + reach + 1, len(values))
    return np.asarray((sums[last] - sums[first]) / (last - first))


def _thin(x: Column, y: Column) -> tuple[Column, Column]:
    """The lowest and the highest point of each part, so that no spike is lost."""
    if len(x) <= 2 * MAX_POINTS:
        return x, y
    parts = np.array_split(np.arange(len(x)), MAX_POINTS)
    extremes = [part[pick(y[part])] for part in parts for pick in (np.argmin, np.argmax)]
    kept = np.unique([0, *extremes, len(x) - 1])
    return x[kept], y[kept]
