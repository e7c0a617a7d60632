"""Figures in words: magnitudes, sizes, ages, tables."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from nielsgpt.report import run_figures, run_reader
from tests.report.conftest import FIRST, SECOND

Make = Callable[..., Path]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10.0k"),
        (1_234_567, "1.2M"),
        (3.2e9, "3.2G"),
    ],
)
def test_large_numbers_are_shown_with_a_letter(value: float, shown: str) -> None:
    assert run_figures.magnitude(value) == shown


def test_sizes_are_shown_in_powers_of_1024() -> None:
    sizes = (512, 2048, 5 * 2**20, 1.5 * 2**30)
    assert [run_figures.size(size) for size in sizes] == [
        "512 bytes",
        "2.0 KiB",
        "5.0 MiB",
        "1.5 GiB",
    ]


def test_what_is_not_known_is_a_dash() -> None:
    assert [run_figures.known(value, str) for value in (None, math.nan, "x", 1.5)] == [
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


def test_the_steps_of_an_unfinished_run_name_what_was_planned(make: Make) -> None:
    done, stopped = run_reader.read(make(FIRST)), run_reader.read(make(SECOND, max_steps=6000))
    assert [run_figures.FIGURES["steps"](record) for record in (done, stopped)] == [
        "6",
        "6 of 6,000",
    ]


def test_runs_side_by_side_leave_out_what_none_of_them_knows(make: Make) -> None:
    both = [
        run_reader.read(make(FIRST, peak_flops=1e9)),
        run_reader.read(make(SECOND, eval_every=0)),
    ]
    table = {line[0]: line[1:] for line in run_figures.side_by_side(both)}
    assert table[""] == ["aaaa1111", "bbbb2222"]
    assert table["best bits per byte"][1] == table["share of measured peak"][1] == "-"
    assert table["parameters"] == ["1.2M", "1.2M"]
    assert "peak memory" not in table
