"""The exercises of page 1: slopes, the chain rule, and backpropagation through a graph."""

import math
from collections.abc import Callable
from typing import Any

from nielsgpt.micro.exercise import Exercise
from nielsgpt.micro.scalar import Value

Graph = dict[str, list[tuple[str, float]]]
PAGE = "docs/learn/1-scalar.md"


def shared(x: float, y: float) -> tuple[float, float]:
    """The slopes of z = (x y + x)^2 by x and by y."""
    inner = x * y + x
    return 2 * inner * (y + 1), 2 * inner * x


def diamonds(count: int) -> Graph:
    """A row of diamonds, each with two ways through: 2^count ways in all, each of slope 2^-count.

    Whoever walks every way by itself does not come to an end.
    """
    graph: Graph = {}
    for at in range(count):
        graph[f"n{at}"] = [(f"left{at}", 0.5), (f"right{at}", 0.5)]
        graph[f"left{at}"] = graph[f"right{at}"] = [(f"n{at + 1}", 1.0)]
    graph[f"n{count}"] = []
    return dict(reversed(graph.items()))


def chain(length: int) -> Graph:
    """A line of values, each the one before it times 1: deeper than Python may recurse."""
    graph: Graph = {f"n{at}": [(f"n{at + 1}", 1.0)] for at in range(length)}
    return graph | {f"n{length}": []}


def graph_gradients(graph: Graph, output: str) -> dict[str, float]:
    """d output / d value for every value, with `Value` as the judge."""
    values: dict[str, Value] = {name: Value(0.0) for name in graph}
    for name, edges in graph.items():
        values[name].inputs = tuple(values[source] for source, _ in edges)
        values[name].slopes = tuple(slope for _, slope in edges)
    values[output].backward()
    return {name: value.grad for name, value in values.items()}


def ask_tanh(function: Callable[[Value], Value], x: float) -> Any:
    """The function inside a larger expression, so that it has to pass a slope on."""
    value = Value(x)
    answer = function(value * 2.0) * 3.0
    answer.backward()
    return answer.data, value.grad


SCALAR = {
    "ex1": Exercise(
        page=PAGE,
        signature="slope(x: float) -> float",
        task="Return dy/dx of y = x * x.",
        result="dy/dx",
        cases=lambda: [{"x": 3.0}, {"x": 0.0}, {"x": -1.5}, {"x": 40.0}],
        expected=lambda x: 2 * x,
    ),
    "ex2": Exercise(
        page=PAGE,
        signature="slopes(x: float, y: float) -> tuple[float, float]",
        task="Return dz/dx and dz/dy of z = (x * y + x) ** 2.",
        result="dz/dx, dz/dy",
        cases=lambda: [{"x": 1.0, "y": 0.0}, {"x": 2.0, "y": 3.0}, {"x": -1.0, "y": 0.5}],
        expected=shared,
    ),
    "ex3": Exercise(
        page=PAGE,
        signature=(
            "gradients(graph: dict[str, list[tuple[str, float]]], output: str) -> dict[str, float]"
        ),
        task=(
            "Return d output / d value for every value of the graph, by its name.\n\n"
            "    graph[name] lists what the value was made from: (input's name, slope along it).\n"
            "    The names are in any order. A value that output does not depend on has slope 0."
        ),
        result="gradient",
        cases=lambda: [
            {"graph": {"c": [("a", 4.0), ("b", 3.0)], "a": [], "b": []}, "output": "c"},
            {"graph": {"b": [("a", 6.0)], "c": [("a", 4.0), ("b", 1.0)], "a": []}, "output": "c"},
            {"graph": {"a": [], "b": [("a", 2.0)], "c": [("a", 3.0)]}, "output": "b"},
            {"graph": diamonds(3), "output": "n0"},
            {"graph": diamonds(60), "output": "n0"},
            {"graph": chain(3000), "output": "n0"},
        ],
        expected=graph_gradients,
    ),
    "ex4": Exercise(
        page=PAGE,
        signature="tanh(value: Value) -> Value",
        task=(
            "Return the hyperbolic tangent of the value, as a Value that knows its slope.\n\n"
            "    math.tanh gives the number; the slope of y = tanh(x) is 1 - y * y."
        ),
        result="3 tanh(2x), its slope by x",
        cases=lambda: [{"x": 0.5}, {"x": 0.0}, {"x": -2.0}],
        expected=lambda x: (3 * math.tanh(2 * x), 6 * (1 - math.tanh(2 * x) ** 2)),
        ask=ask_tanh,
        imports="import math\n\nfrom nielsgpt.micro.scalar import Value\n",
    ),
}
