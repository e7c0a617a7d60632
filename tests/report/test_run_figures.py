"""Figures and settings of runs as tables."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from nielsgpt.report import run_figures, run_reader
from tests.report.conftest import FIRST, SECOND

Make = Callable[..., Path]


def test_an_unknown_figure_is_a_dash() -> None:
    assert [run_figures.format_known(value, str) for value in (None, math.nan, "x", 1.5)] == [
        *("-", "-", "-"),
        "1.5",
    ]


def test_the_age_counts_from_the_end_of_the_run(make: Make) -> None:
    record = run_reader.read(make(ended_at="2026-11-21T10:00:00+00:00"))
    ended = datetime.fromisoformat("2026-11-21T10:00:00+00:00")
    ages = {
        timedelta(seconds=45): "45s",
        timedelta(hours=5, minutes=2): "5h02m",
        timedelta(days=3): "3d",
        timedelta(days=-1): "0s",
    }
    assert {past: run_figures.age(record, ended + past) for past in ages} == ages


def test_the_steps_of_an_unfinished_run_include_the_planned_ones(make: Make) -> None:
    done, stopped = run_reader.read(make(FIRST)), run_reader.read(make(SECOND, max_steps=6000))
    assert [run_figures.FIGURES["steps"](record) for record in (done, stopped)] == [
        "6",
        "6 of 6,000",
    ]


def test_a_comparison_leaves_out_figures_that_no_run_has(make: Make) -> None:
    both = [
        run_reader.read(make(FIRST, peak_flops=1e9)),
        run_reader.read(make(SECOND, eval_every=0)),
    ]
    table = {line[0]: line[1:] for line in run_figures.compare_figures(both)}
    assert table[""] == ["aaaa1111", "bbbb2222"]
    assert table["best bits per byte"][1] == table["share of measured peak"][1] == "-"
    assert table["parameters"] == ["1.2M", "1.2M"]
    assert "peak memory" not in table


def test_a_tree_is_flattened_to_dotted_names() -> None:
    tree = {"a": {"b": {"c": None}, "d": {}}, "e": [1, "x"], "f": "caf\u00e9"}
    assert list(run_figures.flatten(tree)) == [
        *(("a.b.c", "null"), ("a.d", "{}"), ("e", '[1, "x"]'), ("f", "caf\u00e9")),
    ]


def test_only_settings_that_differ_are_listed_and_missing_ones_are_dashes(make: Make) -> None:
    first = make(FIRST, settings={"model": {"n_layer": 2, "tied": True}})
    second = make(SECOND, settings={"model": {"n_layer": 3}})
    both = [run_reader.read(first), run_reader.read(second)]
    differing = [["model.n_layer", "2", "3"], ["model.tied", "true", "-"]]
    assert run_figures.compare_settings(both) == differing
    assert run_figures.compare_settings(both[:1] * 2) == []


def test_ages_are_shown_in_days_once_there_are_two() -> None:
    ages = {45.0: "45s", 5 * 3600 + 120.0: "5h02m", 3 * 86400.0: "3d", -86400.0: "0s"}
    assert {seconds: run_figures.format_age(seconds) for seconds in ages} == ages
