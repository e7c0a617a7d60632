"""A run folder is read back even if damaged, and found by a part of its id."""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from nielsgpt.errors import DataError
from nielsgpt.report import run_reader
from nielsgpt.training.run_log import RunLog
from tests.report.conftest import EXAM, FIRST, SECOND, write_exam

Make = Callable[..., Path]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_the_columns_hold_the_numbers_and_nan_where_there_was_no_evaluation(make: Make) -> None:
    record = run_reader.read(make())
    assert list(record.column("iter")) == [1, 2, 3, 4, 5, 6]
    assert list(record.column("train_loss")) == [4 / step for step in range(1, 7)]
    assert list(np.flatnonzero(~np.isnan(record.column("val_loss")))) == [2, 5]
    assert "phase" not in record.rows
    assert np.isnan(record.column("a column of tomorrow")).tolist() == [True] * 6


def test_the_figures_follow_from_the_rows(make: Make) -> None:
    record = run_reader.read(make(peak_flops=1e9))
    bits = record.column("val_bits_per_byte")
    assert record.best_bits_per_byte == bits[5] < bits[2]
    assert (record.steps, record.planned_steps, record.last("tokens_seen")) == (6, 6, 6000.0)
    speed = float(np.median(record.column("throughput_tps")))
    assert record.tokens_per_second == speed
    assert record.share_of_peak == pytest.approx(speed * 1000 / 1e9)


def test_a_run_truncated_anywhere_is_read_as_far_as_it_is_intact(make: Make) -> None:
    folder = make()
    log = RunLog(folder, "sft", ["primer", "text"], 6, 6, 1)
    log.samples(6, [("Who?", "Niels.")])
    whole = run_reader.read(folder)
    for name in ("metrics.csv", "samples.jsonl", "run_meta.json", "resolved_settings.json"):
        content = (folder / name).read_bytes()
        for end in range(0, len(content), 7):
            (folder / name).write_bytes(content[:end])
            part = run_reader.read(folder)
            assert list(part.column("iter")) == list(whole.column("iter"))[: part.steps]
            assert part.meta in ({}, whole.meta)
        (folder / name).unlink()
    empty = run_reader.read(folder)
    assert (empty.steps, empty.samples, empty.meta, empty.settings) == (0, [], {}, {})
    assert np.isnan([empty.seconds, empty.best_bits_per_byte, empty.tokens_per_second]).all()


def test_steps_repeated_after_a_rollback_count_once_with_their_last_values(make: Make) -> None:
    folder = make()
    lines = (folder / "metrics.csv").read_text().splitlines(keepends=True)
    again = [line.replace(",0.00", ",0.99") for line in lines[5:6]]
    (folder / "metrics.csv").write_text("".join([*lines, *again]))
    record = run_reader.read(folder)
    assert list(record.column("iter")) == [1, 2, 3, 4, 5]
    assert record.last("lr") == pytest.approx(0.995)


def test_all_runs_are_listed_newest_first_and_other_folders_left_out(
    make: Make, runs: Path
) -> None:
    make(FIRST), make(SECOND)
    (runs / "notes").mkdir()
    (runs / "compare-aaaa1111-bbbb2222.html").write_text("")
    assert [record.run_id for record in run_reader.read_all(runs)] == [SECOND, FIRST]
    assert run_reader.read_all(runs / "nowhere") == []


@pytest.mark.parametrize("name", [FIRST, "20261121-10", "aaaa1111", "aa"])
def test_a_run_is_found_by_a_prefix_of_its_id_or_of_its_short_id(
    make: Make, runs: Path, name: str
) -> None:
    make(FIRST), make(SECOND)
    assert run_reader.find(runs, name).run_id == FIRST
    assert run_reader.find(runs, "latest").run_id == SECOND


def test_a_full_id_wins_over_a_longer_one_that_begins_with_it(make: Make, runs: Path) -> None:
    make(FIRST), make(FIRST + "0")
    assert run_reader.find(runs, FIRST).run_id == FIRST


def test_an_unknown_or_ambiguous_run_is_one_clear_line(make: Make, runs: Path) -> None:
    def error_of(name: str) -> str:
        with pytest.raises(DataError) as error:
            run_reader.find(runs, name)
        return str(error.value)

    assert error_of("latest") == f"no runs in {runs} yet; 'nielsgpt pipeline' makes one"
    make(FIRST), make(SECOND)
    assert error_of("cccc") == f"no run 'cccc' in {runs}; 'nielsgpt runs' lists them"
    assert error_of("2026") == (
        f"2 runs begin with '2026' ({SECOND}, {FIRST}); name one of them, or 'latest'"
    )
    assert error_of("../runs") == f"no run '../runs' in {runs}; 'nielsgpt runs' lists them"


def test_the_outcome_comes_from_the_metadata_or_else_from_the_steps(make: Make) -> None:
    assert run_reader.read(make(outcome="early stop")).outcome(NOON) == "early stop"
    assert run_reader.read(make(SECOND)).outcome(NOON) == "done"
    assert run_reader.read(make("a-1", steps=4)).outcome(NOON) == "?"


def test_a_running_run_without_an_update_for_an_hour_is_silent(make: Make) -> None:
    folder = make(outcome="running")
    os.utime(folder / "metrics.csv", (NOON.timestamp(), NOON.timestamp()))
    record = run_reader.read(folder)
    assert record.outcome(NOON + timedelta(minutes=59)) == "running"
    assert record.outcome(NOON + timedelta(minutes=61)) == "silent"


def test_a_run_with_a_time_budget_has_no_planned_steps(make: Make) -> None:
    assert run_reader.read(make(train_config={"minutes": 3.0})).planned_steps == 0


def test_an_exam_belongs_to_the_run_whose_best_weights_it_scored(make: Make, runs: Path) -> None:
    record, other = run_reader.read(make(FIRST)), run_reader.read(make(SECOND))
    checkpoints = runs.parent / "checkpoints"
    assert run_reader.read_exam(record, checkpoints) is None
    write_exam(runs.parent, FIRST)
    assert run_reader.read_exam(record, checkpoints) == EXAM
    assert run_reader.read_exam(other, checkpoints) is None
    write_exam(runs.parent, FIRST, weights="newer")
    assert run_reader.read_exam(record, checkpoints) is None


def test_the_records_agree_on_what_an_id_looks_like(make: Make) -> None:
    from nielsgpt.training.run_log import new_run_id

    run_id = new_run_id()
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{8}", run_id)
    assert run_reader.read(make(run_id)).short_id == run_id[-8:]
