"""The figures of docs/learn: a graph of values, what heads look at, the loss of each backend."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nielsgpt.micro import documents, scenarios, store, svg
from nielsgpt.micro.files import write_text
from nielsgpt.micro.scalar import Value, inputs_first
from nielsgpt.micro.scenarios import Scenario
from nielsgpt.micro.store import Saved
from nielsgpt.micro.svg import Point
from nielsgpt.micro.training import Run

log = logging.getLogger("nielsgpt")
BOS_SIGN = "\u25b8"
MEAN_OVER = 25
WIDEST = 16


def draw(root: Path, scenario: Scenario, steps: int, out: Path) -> list[Path]:
    """Write graph.svg, attention.svg and loss.svg, and return their paths.

    The attention is that of the scenario's trained model; raises MicroError if it is missing. The
    losses come from training every backend from scratch for `steps` documents.
    """
    makes_it = f"make it with: nielsgpt micro train -s {scenario.name}"
    model = store.load(store.model_path(root, scenario.name), makes_it)
    corpus = documents.load(root, scenario)
    drawn = {
        "graph.svg": graph(*worked_example()),
        "attention.svg": attention(model, readable(model, corpus.sequences)),
        "loss.svg": losses(train_all(root, scenario, steps), math.log(model.shape.vocab_size)),
    }
    for name, picture in drawn.items():
        write_text(out / name, picture)
    return [out / name for name in drawn]


def worked_example() -> tuple[Value, dict[Value, str]]:
    """c = a b + a^2 at a = 3 and b = 4 after its backward pass, and the names of its values."""
    a, b = Value(3.0), Value(4.0)
    product, square = a * b, a**2
    c = product + square
    c.backward()
    return c, {a: "a", b: "b", product: "a b", square: "a\u00b2", c: "c"}


def graph(root: Value, names: dict[Value, str]) -> str:
    """Every value with its gradient, in columns by how far it is from the leaves.

    An arrow goes from an input to what it went into and bears the slope along it.
    """
    columns: dict[Value, int] = {value: 0 for value in names}
    for value in inputs_first(root):
        columns[value] = 1 + max(columns[source] for source in value.inputs)
    width, height, gap, tall = 104.0, 46.0, 96.0, 110.0
    most = max(list(columns.values()).count(column) for column in columns.values())
    places: dict[Value, Point] = {}
    for column in set(columns.values()):
        members = [value for value in names if columns[value] == column]
        for row, value in enumerate(members):
            y = 20 + (row + (most - len(members)) / 2) * tall
            places[value] = (20 + column * (width + gap), y)
    parts = []
    for value, (x, y) in places.items():
        for source, slope in zip(value.inputs, value.slopes, strict=True):
            start = (places[source][0] + width, places[source][1] + height / 2)
            end = (x, y + height / 2)
            near = (start[0] * 0.7 + end[0] * 0.3, start[1] * 0.7 + end[1] * 0.3 + 4)
            parts += [svg.arrow(start, end), svg.text(near, f"\u00d7{slope:g}", color=svg.BLUE)]
    for value, (x, y) in places.items():
        parts.append(svg.box((x, y), width, height, "#f6f8fa", svg.INK, 6))
        parts.append(svg.text((x + width / 2, y + 19), f"{names[value]} = {value.data:g}"))
        told = f"slope of c: {value.grad:g}"
        parts.append(svg.text((x + width / 2, y + 37), told, size=11, color=svg.BLUE))
    reach = 40 + max(columns.values()) * (width + gap) + width
    return svg.picture(reach, 40 + (most - 1) * tall + height, parts)


def readable(model: Saved, sequences: Sequence[Sequence[int]]) -> list[int]:
    """The first of the longest documents that fit the model and a figure, without its last id;
    where none fits, the beginning of the first."""
    most = min(model.shape.block_size, WIDEST)
    whole = [ids for ids in sequences if len(ids) - 1 <= most]
    longest: Sequence[int] = max(whole or [sequences[0][: most + 1]], key=len)
    return list(longest[:-1])


def attention(model: Saved, ids: Sequence[int]) -> str:
    """A map for each head of each layer: row by row, what the position looks at, and how much."""
    maps = attention_maps(model, ids)
    signs = [*model.alphabet.characters, BOS_SIGN]
    cell, edge = 20.0, 34.0
    side = cell * len(ids)
    parts = []
    for layer, heads in enumerate(maps):
        for head, rows in enumerate(heads):
            left, top = 14 + head * (side + edge) + 20, 20 + layer * (side + 2 * edge) + edge
            title = f"layer {layer}, head {head}"
            parts.append(svg.text((left + side / 2, top - 24), title))
            for at, row in enumerate(rows):
                x, y = left + at * cell + cell / 2, top + at * cell + 14
                parts.append(svg.text((left - 10, y), signs[ids[at]]))
                parts.append(svg.text((x, top - 6), signs[ids[at]]))
                for seen, share in enumerate(row):
                    corner = (left + seen * cell, top + at * cell)
                    parts.append(svg.box(corner, cell, cell, svg.shade(share), svg.PALE))
    width = 14 + model.shape.n_head * (side + edge)
    note = f"rows look at columns; the darker, the more; {BOS_SIGN} begins the name"
    height = 20 + model.shape.n_layer * (side + 2 * edge) + 8
    parts.append(svg.text((34, height - 12), note, "start", 11))
    return svg.picture(width, height, parts)


def attention_maps(model: Saved, ids: Sequence[int]) -> list[list[list[list[float]]]]:
    """The weights by layer, head, position and position looked at."""
    from nielsgpt.micro.arrays import ArrayGPT

    gpt = ArrayGPT(model.shape, model.weights)
    for token in ids:
        gpt.read(token)
    seen = [[layer.weights.tolist() for layer in position.layers] for position in gpt.positions]
    return [
        [[by_layer[layer][head] for by_layer in seen] for head in range(model.shape.n_head)]
        for layer in range(model.shape.n_layer)
    ]


@dataclass(frozen=True)
class Curve:
    """The losses of one backend, and how its line looks: the widest is drawn first."""

    name: str
    color: str
    width: float
    dashes: str
    losses: tuple[float, ...]


LOOKS: tuple[tuple[dict[str, str], str, float, str], ...] = (
    ({"backend": "python", "dtype": "float64"}, "#ffd33d", 9.0, ""),
    ({"backend": "numpy", "dtype": "float64"}, "#fb8532", 5.0, ""),
    ({"backend": "numpy_batched", "dtype": "float64"}, "#0969da", 2.0, ""),
    ({"backend": "numpy_batched", "dtype": "float32"}, "#24292f", 1.0, "3 5"),
)


def train_all(root: Path, scenario: Scenario, steps: int) -> list[Curve]:
    """Train each backend on the same documents from the same weights."""
    curves = []
    for numbers, color, width, dashes in LOOKS:
        name = f"{numbers['backend']}, {numbers['dtype']}"
        log.info("training %s", name)
        changes: dict[str, Any] = {**numbers, "num_steps": steps}
        run = Run(root, scenarios.changed(scenario, **changes))
        found = tuple(update.loss for update in run.train())
        curves.append(Curve(name, color, width, dashes, found))
    return curves


def losses(curves: Sequence[Curve], guessing: float) -> str:
    """The mean loss of the last documents against their number, one line over the other."""
    means = {curve.name: running_mean(curve.losses) for curve in curves}
    steps = max(len(mean) for mean in means.values())
    low = math.floor(min(map(min, means.values())) * 5) / 5
    high = math.ceil(max(guessing, *(max(mean) for mean in means.values())) * 5) / 5
    left, top, width, height = 56.0, 20.0, 560.0, 280.0

    def place(step: float, loss: float) -> Point:
        return left + width * step / steps, top + height * (high - loss) / (high - low)

    parts = []
    for mark in range(round(low * 5), round(high * 5) + 1):
        x, y = place(0, mark / 5)
        parts.append(svg.line([(x, y), (x + width, y)], svg.PALE))
        parts.append(svg.text((x - 8, y + 4), f"{mark / 5:.1f}", "end"))
    for share in range(5):
        x, y = place(steps * share / 4, low)
        parts.append(svg.text((x, y + 20), f"{steps * share / 4:g}"))
    parts.append(svg.line([place(0, guessing), place(steps, guessing)], svg.INK, 1, "6 4"))
    parts.append(svg.text((left + width - 6, place(0, guessing)[1] + 16), "guessing: ln V", "end"))
    for row, curve in enumerate(curves):
        way = [place(step, loss) for step, loss in enumerate(means[curve.name])]
        parts.append(svg.line(way, curve.color, curve.width, curve.dashes))
        y = top + 60 + 20 * row
        sample = [(left + width - 200, y), (left + width - 160, y)]
        parts.append(svg.line(sample, curve.color, curve.width, curve.dashes))
        parts.append(svg.text((left + width - 150, y + 4), curve.name, "start"))
    below = (left + width / 2, top + height + 42)
    parts.append(svg.text(below, f"documents; mean loss of the last {MEAN_OVER}, nats"))
    return svg.picture(left + width + 24, top + height + 56, parts)


def running_mean(numbers: Sequence[float]) -> list[float]:
    """The mean of the last MEAN_OVER numbers at each place, of fewer at the start."""
    sums = [0.0]
    for number in numbers:
        sums.append(sums[-1] + number)
    starts = [max(0, end - MEAN_OVER) for end in range(1, len(sums))]
    return [(sums[i + 1] - sums[start]) / (i + 1 - start) for i, start in enumerate(starts)]
