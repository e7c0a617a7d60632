"""A sweep: what it writes, that it goes on where it was killed, and that failures do not end it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from nielsgpt.config.settings import Settings
from nielsgpt.experiments import supervisor
from nielsgpt.experiments.grid import Configuration
from nielsgpt.experiments.job import Row, TrialJob
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.supervisor import TrialLimits
from nielsgpt.experiments.sweep import Sweep, SweepTarget
from tests.experiments.conftest import ENGINE

GRID = [Configuration(context_length=16, n_layer=n, n_head=2, n_embd=32) for n in (1, 2, 3)]
LIMITS = TrialLimits(20.0, 2**30)


class Bench:
    """A machine that runs three rows at most of anything but the third configuration; after
    `alive` trials the process is killed."""

    def __init__(self, alive: int = 99) -> None:
        self.alive, self.jobs = alive, list[TrialJob]()

    def __call__(self, job: TrialJob, limits: TrialLimits, asked: Any = ()) -> Row:
        if len(self.jobs) == self.alive:
            raise KeyboardInterrupt
        self.jobs.append(job)
        size = job.engine.micro_batch_size
        if size > 3 or job.shape.n_layer == 3:
            return {"status": "oom", "reason": "too large"}
        speed = 100.0 * size / job.shape.n_layer * (2 if job.engine.compiled else 1)
        return {
            "status": "ok",
            "tokens_per_second": speed,
            "ms_per_step": 1.0,
            "params": job.shape.n_layer,
            "peak_bytes": 2**20,
        }


def sweep(folder: Path, bench: Bench, compiles: bool = False, **over: Any) -> Sweep:
    wish = SweepTarget(folder, 64, "adamw", 16, 20.0, 8, 8.0, 70.0)
    ledger = ResultsStore(folder / "results.jsonl", bench)
    engine = replace(ENGINE, compiled=compiles)
    return Sweep(replace(wish, **over), lambda configuration: engine, ledger)


def test_the_largest_that_fits_is_ranked_and_what_does_not_run_is_skipped(tmp_path: Path) -> None:
    entries = sweep(tmp_path, Bench()).run(GRID)
    assert [(entry.largest, bool(entry.best)) for entry in entries] == [
        *[(3, True), (3, True)],
        (0, False),
    ]
    text = (tmp_path / "summary.md").read_text("utf-8")
    assert "| 1 ⭐ | gpt_qk | 16 | 32 | 1 |" in text
    assert "gpt_qk 3 x 32, 2 heads, T 16, auto: oom, too large" in text


@pytest.mark.parametrize("alive", [0, 1, 4, 6, 8])
def test_a_killed_sweep_run_again_measures_nothing_twice(tmp_path: Path, alive: int) -> None:
    whole = Bench()
    wanted = sweep(tmp_path / "undisturbed", whole).run(GRID)
    first, second = Bench(alive), Bench()
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path / "killed", first).run(GRID)
    found = sweep(tmp_path / "killed", second).run(GRID)
    assert [job.key for job in first.jobs + second.jobs] == [job.key for job in whole.jobs]
    assert [entry.largest for entry in found] == [entry.largest for entry in wanted]


def test_half_a_line_at_the_end_is_ignored_and_swallows_nothing(
    tmp_path: Path, job: Callable[..., TrialJob]
) -> None:
    path, bench = tmp_path / "results.jsonl", Bench()
    jobs = [job(vocab_size=size) for size in (64, 65, 66)]
    ledger = ResultsStore(path, bench)
    for one in jobs[:2]:
        ledger.result(one, LIMITS)
    path.write_bytes(path.read_bytes()[:-30])
    again = ResultsStore(path, bench)
    for one in jobs:
        again.result(one, LIMITS)
    assert [one.vocab_size for one in bench.jobs] == [64, 65, 65, 66]
    assert set(ResultsStore(path, bench).rows) == {one.key for one in jobs}


@pytest.mark.parametrize(
    ("limits", "trials"),
    [
        (LIMITS, 1),
        (TrialLimits(24.0, 2**30), 1),
        (TrialLimits(20.0, 2**31), 2),
        (TrialLimits(99.0, 2**30), 1),
    ],
)
def test_what_ran_out_of_memory_is_tried_again_only_with_more_of_it(
    tmp_path: Path, job: Callable[..., TrialJob], limits: TrialLimits, trials: int
) -> None:
    bench = Bench()
    ledger = ResultsStore(tmp_path / "results.jsonl", bench)
    too_large = job(engine=replace(ENGINE, micro_batch_size=4))
    ledger.result(too_large, LIMITS)
    ledger.result(too_large, limits)
    assert len(bench.jobs) == trials


def test_a_key_names_what_decides_the_speed_and_not_how_long_it_is_measured(
    job: Callable[..., TrialJob],
) -> None:
    same = [job(), job(seconds=9.0)]
    other = [
        job(vocab_size=65),
        job(batch_size=8),
        job(optimizer="muon"),
        job(activation_checkpointing=True),
        job(engine=replace(ENGINE, micro_batch_size=1)),
        job(engine=replace(ENGINE, precision="bf16")),
        job(engine=replace(ENGINE, torch_version="0")),
    ]
    assert len({one.key for one in same}) == 1
    assert len({one.key for one in same + other}) == 1 + len(other)


def test_the_fastest_is_compiled_where_the_machine_can(tmp_path: Path) -> None:
    bench = Bench()
    entries = sweep(tmp_path, bench, compiles=True).run(GRID[:2])
    compiled = [job.engine.micro_batch_size for job in bench.jobs if job.engine.compiled]
    assert compiled == [3, 3]
    assert all(entry.best and entry.best["job"]["engine"]["compiled"] for entry in entries)


def test_a_configuration_without_time_says_what_was_left_out(tmp_path: Path) -> None:
    (entry,) = sweep(tmp_path, Bench(), seconds_each=0.0).run(GRID[:1])
    assert entry.cut == "micro-batches above 1 were not tried"
    assert "## Left out for time" in (tmp_path / "summary.md").read_text("utf-8")


def test_the_command_measures_a_grid_in_real_processes(
    root: Path, tiny: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "tiny.json").write_text(json.dumps(tiny().model_dump(mode="json")), encoding="utf-8")
    item = {"context_length": 16, "n_layer": 1, "n_head": 2, "n_embd": 32}
    (root / "grid.json").write_text(json.dumps([item]), encoding="utf-8")
    words = ["bench", "-c", "tiny.json", "--grid", "grid.json", "--max-micro-batch", "1"]
    main([*words, "--timeout-s", "0.5"])
    said = capsys.readouterr().out
    assert "| 1 ⭐ | gpt_qk | 16 | 32 | 1 | 2 | 128 | fp32 | off | no | 1 |" in said
    (line,) = (root / "bench/results.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["status"] == "ok"
    assert (root / "bench/throughput.png").read_bytes().startswith(b"\x89PNG")
    assert (root / "bench/summary.md").read_text("utf-8") in said


def test_an_unusable_grid_is_one_line_and_exit_code_2(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "grid.json").write_text('[{"T": "long"}]', encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main(["bench", "--grid", "grid.json"])
    said = capsys.readouterr().err.splitlines()
    assert (left.value.code, len(said)) == (2, 1)
    assert said[0].startswith('error: grid grid.json: item 1: context_length is "long": input')


def test_the_memory_of_a_trial_is_less_than_what_is_free() -> None:
    assert 0 < supervisor.SHARE < 1


def test_an_error_is_tried_again_for_what_it_came_from_may_be_mended(
    tmp_path: Path, job: Callable[..., TrialJob]
) -> None:
    found = [{"status": "error", "reason": "no compiler \u2028 here"}, {"status": "ok"}]
    ledger = ResultsStore(tmp_path / "results.jsonl", lambda *given: found.pop(0))
    assert ledger.result(job(), LIMITS)["status"] == "error"
    again = ResultsStore(tmp_path / "results.jsonl", lambda *given: found.pop(0))
    assert again.rows[job().key]["reason"] == "no compiler \u2028 here"
    assert [again.result(job(), LIMITS)["status"] for _ in range(2)] == ["ok", "ok"]
