"""A sweep: what it writes, how it resumes after a kill, and that failures do not end it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from nielsgpt.config.settings import Settings
from nielsgpt.experiments.grid import Configuration
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.sweep import Sweep, SweepOptions
from nielsgpt.experiments.trial import TrialJob
from nielsgpt.experiments.worker import JobLimits, ResultRow
from tests.experiments.conftest import EXECUTION

GRID = [Configuration(context_length=16, n_layer=n, n_head=2, n_embd=32) for n in (1, 2, 3)]


class Bench:
    """Runs up to three rows of every configuration but the third; the process is killed after
    `alive` trials."""

    def __init__(self, alive: int = 99) -> None:
        self.alive, self.jobs = alive, list[TrialJob]()

    def __call__(self, job: TrialJob, limits: JobLimits, stop_signals: Any = ()) -> ResultRow:
        if len(self.jobs) == self.alive:
            raise KeyboardInterrupt
        self.jobs.append(job)
        size = job.execution.micro_batch_size
        if size > 3 or job.shape.n_layer == 3:
            return {"status": "oom", "reason": "too large"}
        speed = 100.0 * size / job.shape.n_layer * (2 if job.execution.compiled else 1)
        return {
            "status": "ok",
            "tokens_per_second": speed,
            "ms_per_step": 1.0,
            "params": job.shape.n_layer,
            "peak_bytes": 2**20,
        }


def make_sweep(folder: Path, bench: Bench, compiles: bool = False, **changes: Any) -> Sweep:
    options = SweepOptions(folder, 64, "adamw", 16, 20.0, 8, 8.0, 70.0)
    results = ResultsStore(folder / "results.jsonl", bench)
    execution = replace(EXECUTION, compiled=compiles)
    return Sweep(replace(options, **changes), lambda configuration: execution, results)


def test_configurations_that_run_are_ranked_and_the_others_are_listed(tmp_path: Path) -> None:
    entries = make_sweep(tmp_path, Bench()).run(GRID)
    assert [(entry.largest, bool(entry.best)) for entry in entries] == [
        *[(3, True), (3, True)],
        (0, False),
    ]
    text = (tmp_path / "summary.md").read_text("utf-8")
    assert "| 1 ⭐ | gpt_qk | 16 | 32 | 1 |" in text
    assert "gpt_qk 3 x 32, 2 heads, T 16, auto: oom, too large" in text


@pytest.mark.parametrize("alive", [0, 1, 4, 6, 8])
def test_a_killed_sweep_resumes_and_measures_nothing_twice(tmp_path: Path, alive: int) -> None:
    whole = Bench()
    expected = make_sweep(tmp_path / "undisturbed", whole).run(GRID)
    first, second = Bench(alive), Bench()
    with pytest.raises(KeyboardInterrupt):
        make_sweep(tmp_path / "killed", first).run(GRID)
    resumed = make_sweep(tmp_path / "killed", second).run(GRID)
    assert [job.key for job in first.jobs + second.jobs] == [job.key for job in whole.jobs]
    assert [entry.largest for entry in resumed] == [entry.largest for entry in expected]


def test_the_fastest_are_compiled_if_the_machine_can(tmp_path: Path) -> None:
    bench = Bench()
    entries = make_sweep(tmp_path, bench, compiles=True).run(GRID[:2])
    compiled = [job.execution.micro_batch_size for job in bench.jobs if job.execution.compiled]
    assert compiled == [3, 3]
    assert all(entry.best and entry.best["job"]["engine"]["compiled"] for entry in entries)


def test_what_was_skipped_for_lack_of_time_is_in_the_summary(tmp_path: Path) -> None:
    (entry,) = make_sweep(tmp_path, Bench(), seconds_each=0.0).run(GRID[:1])
    assert entry.skipped == "micro-batches above 1 were not tried"
    assert "## Skipped for lack of time" in (tmp_path / "summary.md").read_text("utf-8")


def test_the_command_measures_a_grid_in_real_processes(
    root: Path, tiny: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "tiny.json").write_text(json.dumps(tiny().model_dump(mode="json")), encoding="utf-8")
    item = {"context_length": 16, "n_layer": 1, "n_head": 2, "n_embd": 32}
    (root / "grid.json").write_text(json.dumps([item]), encoding="utf-8")
    words = ["bench", "-c", "tiny.json", "--grid", "grid.json", "--max-micro-batch", "1"]
    main([*words, "--timeout-s", "0.5"])
    output = capsys.readouterr().out
    assert "| 1 ⭐ | gpt_qk | 16 | 32 | 1 | 2 | 128 | fp32 | off | no | 1 |" in output
    (line,) = (root / "bench/results.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["status"] == "ok"
    assert (root / "bench/throughput.png").read_bytes().startswith(b"\x89PNG")
    assert (root / "bench/summary.md").read_text("utf-8") in output


def test_an_unusable_grid_is_one_line_and_exit_code_2(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "grid.json").write_text('[{"T": "long"}]', encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main(["bench", "--grid", "grid.json"])
    lines = capsys.readouterr().err.splitlines()
    assert (left.value.code, len(lines)) == (2, 1)
    assert lines[0].startswith('error: grid grid.json: item 1: context_length is "long": input')
