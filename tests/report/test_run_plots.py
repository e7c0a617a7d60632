"""Plots: the same bytes every time, no data lost, and foreign text escaped."""

import re
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from nielsgpt.report import drawing, run_plots, run_reader
from nielsgpt.training.run_log import RunLog
from tests.report.conftest import FIRST, SECOND

Make = Callable[..., Path]
ALL = [
    *("Loss", "Loss over time", "Validation", "Learning rate"),
    *("Gradient norm before clipping", "Speed"),
]


@pytest.fixture
def loss_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw one plot instead of six, which would take six times as long."""
    monkeypatch.setattr(run_plots, "PLOTS", run_plots.PLOTS[:1])


def titles(folder: Path) -> list[str]:
    return [title for title, _ in run_plots.draw_svgs([run_reader.read(folder)])]


def test_the_drawings_are_the_same_bytes_every_time(
    make: Make, tmp_path: Path, loss_only: None
) -> None:
    record = run_reader.read(make())
    assert run_plots.draw_svgs([record]) == run_plots.draw_svgs([record])
    once, again = (run_plots.write(record, tmp_path / name) for name in ("once", "again"))
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]


def test_no_file_of_matplotlibs_settings_changes_a_drawing(
    make: Make, loss_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run_reader.read(make())
    plain = run_plots.draw_svgs([record])
    for name, value in (("text.usetex", True), ("lines.linewidth", 9.0), ("font.size", 30.0)):
        monkeypatch.setitem(matplotlib.rcParams, name, value)
    assert run_plots.draw_svgs([record]) == plain
    assert matplotlib.rcParams["lines.linewidth"] == 9.0  # what others draw keeps theirs


def test_each_plot_with_data_becomes_a_png(make: Make, tmp_path: Path) -> None:
    paths = run_plots.write(run_reader.read(make()), tmp_path)
    names = ["loss", "loss_over_time", "bits_per_byte", "learning_rate", "gradient_norm"]
    assert [path.name for path in paths] == [f"{name}.png" for name in [*names, "throughput"]]
    assert all(path.read_bytes().startswith(b"\x89PNG\r\n") for path in paths)


def test_a_run_without_evaluations_has_no_validation_plot(make: Make) -> None:
    assert titles(make(eval_every=0)) == [title for title in ALL if title != "Validation"]


def test_one_row_is_drawn_and_a_run_without_rows_has_no_plot(make: Make) -> None:
    assert titles(make(steps=1, eval_every=1)) == ALL
    assert titles(make(SECOND, steps=0)) == []


def test_rows_whose_numbers_are_not_finite_are_left_out(make: Make, loss_only: None) -> None:
    folder = make()
    text = (folder / "metrics.csv").read_text()
    (folder / "metrics.csv").write_text(re.sub(r"(?m)^(\d),[\d.]+", r"\1,nan", text))
    assert "Loss" in titles(folder)  # the validation still has numbers
    (curve, _), *_ = drawing.collect_curves(run_plots.PLOTS[0], run_reader.read(folder))
    assert curve.column == "val_loss_raw"


def test_no_color_is_fixed_and_nothing_is_fetched(make: Make) -> None:
    for _, svg in run_plots.draw_svgs([run_reader.read(make())]):
        assert not re.search(r"(?:fill|stroke): #", svg)
        assert not re.search(r"http|<script|<style|<metadata|<!DOCTYPE", svg)
        used = set(re.findall(r"var\(--([\w-]+)\)", svg))
        assert used <= set(drawing.INKS)
        assert {"text", "grid", "curve-1"} <= used


def test_every_reference_in_a_page_of_drawings_has_exactly_one_target(make: Make) -> None:
    page = "".join(svg for _, svg in run_plots.draw_svgs([run_reader.read(make())]))
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([^)"]+)', page)) == set(ids)


def test_skipped_and_undone_steps_are_marked_on_the_loss(make: Make, loss_only: None) -> None:
    folder = make()
    log = RunLog(folder, "sft", ["primer", "text"], 6, 6, 1)
    log.event(4, "skip", "too steep")
    before, after = ({"skip"}, {"skip", "rollback"})
    for kinds in (before, after):
        loss = dict(run_plots.draw_svgs([run_reader.read(folder)]))["Loss"]
        assert {kind for kind in drawing.MARKED if f"var(--{kind})" in loss} == kinds
        assert ("rolled back" in loss) == ("rollback" in kinds)
        log.event(5, "rollback", "to step 3")


def test_overlaid_runs_get_a_color_each_and_their_names_as_text(
    make: Make, loss_only: None
) -> None:
    first, second = make(FIRST, name="<script>alert(1)</script>"), make(SECOND, eval_every=0)
    svg = dict(run_plots.draw_svgs([run_reader.read(first), run_reader.read(second)]))["Loss"]
    assert "<script" not in svg
    assert "aaaa1111 &lt;script&gt;" in svg
    assert "bbbb2222 tiny" in svg
    assert {"curve-1", "curve-2"} <= set(re.findall(r"var\(--([\w-]+)\)", svg))


def test_a_long_curve_is_thinned_and_keeps_its_spike_and_its_ends() -> None:
    x = np.arange(100_000.0)
    y = np.sin(x / 9000)
    y[54_321] = 77.0
    thin_x, thin_y = drawing._thin(x, y)
    assert len(thin_x) < 1100
    assert (thin_x[0], thin_x[-1]) == (0.0, 99_999.0)
    assert thin_y[thin_x == 54_321.0] == [77.0]
    assert (np.diff(thin_x) > 0).all()


def test_the_running_mean_is_the_mean_of_the_neighbors() -> None:
    values = np.array([1.0, 5.0, 3.0, 8.0, 2.0])
    expected = [np.mean(values[max(0, i - 1) : i + 2]) for i in range(5)]
    assert drawing._running_mean(values, 1) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tokens", "unit"), [(900.0, "thousand"), (2.5e6, "million"), (7e9, "billion")]
)
def test_the_axis_counts_in_the_unit_that_the_run_reaches(
    make: Make, loss_only: None, tokens: float, unit: str
) -> None:
    record = run_reader.read(make())
    record.rows["tokens_seen"] *= tokens / 6000
    assert f"{unit} tokens" in dict(run_plots.draw_svgs([record]))["Loss"]
