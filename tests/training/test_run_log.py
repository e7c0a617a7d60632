"""What a run writes down: rows, events and samples that survive kills and resumes."""

import csv
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nielsgpt.errors import RunError
from nielsgpt.training import run_log
from nielsgpt.training.evaluate import Evaluation
from nielsgpt.training.run_log import RunLog

EVALUATIONS = {"primer": Evaluation(20.0, 10, 40), "text": Evaluation(30.0, 10, 40)}


class Listener:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, float]]] = []
        self.closed = 0

    def log(self, step: int, values: dict[str, float]) -> None:
        self.told.append((step, values))

    def close(self) -> None:
        self.closed += 1


def begun(folder: Path, start: int = 0, log_every: int = 1, *trackers: Listener) -> RunLog:
    return RunLog(folder, "sft", ["primer", "text"], start, 10, log_every, trackers)


def row(step: int, **more: Any) -> dict[str, Any]:
    figures = {"train_loss": 1 / step, "lr": 3e-4 / step, "grad_norm": 0.1 * step}
    return {"iter": step, "tokens": 64, "tokens_seen": 64 * step, **figures, **more}


def steps(rows: list[dict[str, str]] | list[dict[str, Any]], name: str = "iter") -> list[int]:
    return [int(r[name]) for r in rows]


def written(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_documented_columns_come_first_and_the_newest_last(tmp_path: Path) -> None:
    begun(tmp_path)
    columns = (tmp_path / "metrics.csv").read_text().rstrip("\n").split(",")
    assert columns[:13] == [
        *("iter", "train_loss", "val_loss", "val_loss_raw", "val_loss_ema", "best_val_loss"),
        *("best_val_loss_raw", "best_val_loss_ema", "lr", "time_sec", "tokens_seen"),
        *("throughput_tps", "grad_norm"),
    ]
    assert columns[13:] == [
        *("phase", "val_bits_per_byte", "primer_loss", "primer_bits_per_byte", "text_loss"),
        *("text_bits_per_byte", "micro_batch_size", "supervised_tokens", "rate_scale"),
    ]


def test_a_row_is_written_now_and_then_at_each_evaluation_and_at_the_end(tmp_path: Path) -> None:
    diary = begun(tmp_path, log_every=4)
    for step in range(1, 11):
        diary.record(row(step), EVALUATIONS if step == 6 else {})
    assert steps(written(tmp_path)) == [4, 6, 8, 10]


def test_a_row_can_be_read_before_the_run_ends_and_holds_every_digit(tmp_path: Path) -> None:
    diary = begun(tmp_path)
    diary.record(row(3, micro_batch_size=16, rate_scale=0.5), EVALUATIONS)
    (first,) = written(tmp_path)
    assert float(first["train_loss"]) == 1 / 3
    assert float(first["text_bits_per_byte"]) == EVALUATIONS["text"].bits_per_byte
    optional = [first[name] for name in ("micro_batch_size", "supervised_tokens", "rate_scale")]
    assert optional == ["16", "", "0.5"]


def test_a_resumed_run_keeps_what_lies_before_it_and_repeats_no_row(tmp_path: Path) -> None:
    diary = begun(tmp_path)
    for step in range(1, 8):
        diary.record(row(step), {})
        diary.event(step, "saved", f"step {step}")
        diary.samples(step, [("Who?", "Niels."), ("What?", "A lamp.")])
    before = written(tmp_path)
    again = begun(tmp_path, start=5)
    assert written(tmp_path) == before[:5]
    assert steps(run_log.lines(tmp_path / "events.jsonl"), "step") == [1, 2, 3, 4, 5]
    assert steps(run_log.lines(tmp_path / "samples.jsonl"), "step")[-2:] == [5, 5]
    again.record(row(6), {})
    assert steps(written(tmp_path)) == [1, 2, 3, 4, 5, 6]
    assert float(written(tmp_path)[5]["time_sec"]) >= float(before[4]["time_sec"])


def test_time_goes_on_from_the_row_that_a_resumed_run_keeps(tmp_path: Path) -> None:
    begun(tmp_path).record(row(1), {})
    text = (tmp_path / "metrics.csv").read_text()
    time_sec = written(tmp_path)[0]["time_sec"]
    (tmp_path / "metrics.csv").write_text(text.replace(f",{time_sec},", ",5000.0,"))
    begun(tmp_path, start=1).record(row(2), {})
    assert float(written(tmp_path)[1]["time_sec"]) >= 5000.0


def test_going_back_takes_rows_and_samples_back_and_leaves_the_events(tmp_path: Path) -> None:
    diary = begun(tmp_path)
    for step in range(1, 6):
        diary.record(row(step), {})
        diary.samples(step, [("Who?", "Niels.")])
        diary.event(step, "skip", "too steep")
    diary.rewind(3)
    assert steps(written(tmp_path)) == [1, 2, 3]
    assert steps(run_log.lines(tmp_path / "samples.jsonl"), "step") == [1, 2, 3]
    assert steps(run_log.lines(tmp_path / "events.jsonl"), "step") == [1, 2, 3, 4, 5]


def test_rows_of_a_file_cut_anywhere_are_the_first_of_the_whole_ones(tmp_path: Path) -> None:
    diary = begun(tmp_path)
    for step in range(1, 4):
        diary.record(row(step, micro_batch_size=16, rate_scale=1.25), EVALUATIONS)
    path = tmp_path / "metrics.csv"
    whole, content = run_log.rows(path), path.read_bytes()
    assert len(whole) == 3
    for end in range(len(content)):
        path.write_bytes(content[:end])
        found = run_log.rows(path)
        assert found == whole[: len(found)]
        assert len(found) == max(0, content[:end].count(b"\n") - 1)


def test_lines_of_a_file_cut_anywhere_are_the_first_of_the_whole_ones(tmp_path: Path) -> None:
    diary = begun(tmp_path)
    replies = ["caf\u00e9 \u2028 \u0085 \r\n twice", 'a "quote" {', "\U0001f6a2"]
    for step, reply in enumerate(replies, 1):
        diary.samples(step, [("Say it.", reply)])
    path = tmp_path / "samples.jsonl"
    whole, content = run_log.lines(path), path.read_bytes()
    assert [line["reply"] for line in whole] == replies
    for end in range(len(content)):
        path.write_bytes(content[:end])
        assert run_log.lines(path) == whole[: content[:end].count(b"\n")]


def test_a_line_that_is_no_object_or_names_no_step_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('[1]\n{"kind": "skip"}\n{"step": "7"}\n\0\0\n{"step": 7}\n')
    assert run_log.lines(path) == [{"step": 7}]


def test_an_event_says_when_where_and_what(tmp_path: Path) -> None:
    begun(tmp_path).event(7, "skip", "loss 9.1 lies far above the usual")
    line = json.loads((tmp_path / "events.jsonl").read_text())
    when = datetime.fromisoformat(line.pop("time"))
    assert when.tzinfo == UTC
    expected = {"phase": "sft", "step": 7, "kind": "skip"}
    assert line == {**expected, "text": "loss 9.1 lies far above the usual"}


def test_trackers_are_told_the_numbers_of_each_written_row(tmp_path: Path) -> None:
    listener = Listener()
    diary = begun(tmp_path, 0, 5, listener)
    for step in range(1, 11):
        diary.record(row(step), EVALUATIONS if step == 7 else {})
    diary.close()
    assert [step for step, _ in listener.told] == [5, 7, 10]
    values: Mapping[str, float] = dict(listener.told)[7]
    assert values["train/loss"] == 1 / 7
    assert values["val/primer/bits_per_byte"] == EVALUATIONS["primer"].bits_per_byte
    assert all(type(value) is float for value in values.values())
    assert listener.closed == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_disk_ends_the_run_with_one_line(tmp_path: Path) -> None:
    diary = begun(tmp_path)
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "metrics.csv").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"^no space left to write .*metrics\.csv .*again$"):
        diary.record(row(1), {})
