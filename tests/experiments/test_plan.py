"""Plans, on a simulated machine of known speed and known scaling law."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from nielsgpt.config import load
from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.errors import RunError
from nielsgpt.experiments import candidates, plan_summary
from nielsgpt.experiments.candidates import Candidate
from nielsgpt.experiments.data_budget import DataBudget
from nielsgpt.experiments.pilots import PilotBudget, PilotJob
from nielsgpt.experiments.plan import Plan, Planner
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.scaling_law import GROWTH, discount_repeats
from nielsgpt.experiments.throughput import Throughput
from nielsgpt.experiments.trial import TrialJob
from nielsgpt.experiments.worker import ResultRow
from nielsgpt.system.device import ExecutionConfig

Tiny = Callable[..., Settings]
CORPUS = 50_000_000
BUDGET = PilotBudget(600.0, 60.0)


def params(shape: ModelSettings) -> int:
    return 12 * shape.n_layer * shape.n_embd**2


class SimulatedMachine:
    """Trials and pilots that take no time. Larger models and smaller batches are slower; the loss
    follows a scaling law; compiling doubles the speed."""

    def __init__(self, fails: str = "") -> None:
        self.fails, self.trials, self.pilots = fails, list[TrialJob](), list[PilotJob]()

    def step_s(self, shape: ModelSettings, rows: int) -> float:
        return 6 * params(shape) * (rows * shape.context_length + 500) / 1e12

    def trial(self, job: TrialJob, limits: Any, stop_signals: Any = ()) -> ResultRow:
        self.trials.append(job)
        if job.shape.n_layer == 9:
            return {"status": "oom", "reason": "too large"}
        step = self.step_s(job.shape, job.batch_size) / (2 if job.execution.compiled else 1)
        return {
            "status": "ok",
            "ms_per_step": 1000 * step,
            "tokens_per_second": job.batch_size * job.shape.context_length / step,
            "params": params(job.shape),
            "prepare_s": 60.0 if job.execution.compiled else 1.0,
        }

    def loss(self, shape: ModelSettings, rows: int, tokens: float) -> float:
        waste = 1 + rows * shape.context_length / (4000 * (tokens / 1e6) ** GROWTH)
        data = discount_repeats(tokens, CORPUS) / waste
        return float(0.9 + 30 / params(shape) ** 0.34 + 60 / data**0.37)

    def pilot(self, pilot: PilotJob, limits: Any, stop_signals: Any = ()) -> ResultRow:
        self.pilots.append(pilot)
        if self.fails:
            return {"status": self.fails, "reason": "no text"}
        shape, phase = pilot.settings.model, pilot.settings.training.pretrain
        tokens = phase.max_steps * phase.batch_size * shape.context_length
        return {
            "status": "ok",
            "bits_per_byte": self.loss(shape, phase.batch_size, tokens),
            "params": params(shape),
            "tokens": tokens,
            "step_s": self.step_s(shape, phase.batch_size),
            "evaluating": 0.3,
        }


def make_planner(
    settings: Settings,
    machine: SimulatedMachine,
    folder: Path,
    compiled: bool = False,
    corpus: int = CORPUS,
) -> Planner:
    execution = ExecutionConfig("cpu", "fp32", "plain", compiled, 1, 2)
    results = ResultsStore(folder / "results.jsonl", machine.trial)
    throughput = Throughput(settings, 260, lambda candidate: execution, results)
    pilots = ResultsStore(folder / "pilots.jsonl", machine.pilot)
    budget = DataBudget({"primer": corpus}, {"primer": 1.0})
    return Planner(settings, "", budget, "data", throughput, pilots)


def list_choices(settings: Settings) -> list[Candidate]:
    sizes = [(2, 64), (4, 128), (6, 256), (9, 512)]
    shapes = [
        settings.model.model_copy(update={"n_layer": n, "n_embd": width}) for n, width in sizes
    ]
    return [Candidate(shape, rows) for shape in shapes for rows in (8, 32, 128)]


def true_losses(plan: Plan, machine: SimulatedMachine) -> list[float]:
    return [machine.loss(o.candidate.shape, o.candidate.batch_size, o.tokens) for o in plan.options]


@pytest.mark.parametrize("seconds", [120.0, 600.0, 7200.0])
def test_the_choice_ends_within_a_hundredth_of_the_best(
    tiny: Tiny, tmp_path: Path, seconds: float
) -> None:
    machine = SimulatedMachine()
    plan = make_planner(tiny(), machine, tmp_path).plan(
        list_choices(tiny()), PilotBudget(seconds, 60.0)
    )
    losses = true_losses(plan, machine)
    assert losses[0] - min(losses) < 0.01
    assert losses[0] < sorted(losses)[len(losses) // 2]
    assert len(losses) == 9  # what runs out of memory is no option


def test_repeating_a_plan_measures_nothing(tiny: Tiny, tmp_path: Path) -> None:
    first, second = SimulatedMachine(), SimulatedMachine()
    once = make_planner(tiny(), first, tmp_path).plan(list_choices(tiny()), BUDGET)
    again = make_planner(tiny(), second, tmp_path).plan(list_choices(tiny()), BUDGET)
    assert (len(first.trials), len(first.pilots)) == (12, 10)
    assert (second.trials, second.pilots) == ([], [])
    assert [o.candidate for o in once.options] == [o.candidate for o in again.options]
    assert (once.forecast.draws == again.forecast.draws).all()


def test_pilots_take_about_the_time_that_they_were_given(tiny: Tiny, tmp_path: Path) -> None:
    machine = SimulatedMachine()
    make_planner(tiny(), machine, tmp_path).plan(list_choices(tiny()), PilotBudget(7200.0, 500.0))
    seconds_taken = 0.0
    for pilot in machine.pilots:
        phase = pilot.settings.training.pretrain
        seconds_taken += phase.max_steps * machine.step_s(pilot.settings.model, phase.batch_size)
    assert seconds_taken == pytest.approx(500.0, rel=0.1)


def test_the_options_fit_into_the_time(tiny: Tiny, tmp_path: Path) -> None:
    machine = SimulatedMachine()
    for option in (
        make_planner(tiny(), machine, tmp_path).plan(list_choices(tiny()), BUDGET).options
    ):
        seconds_taken = option.steps * machine.step_s(
            option.candidate.shape, option.candidate.batch_size
        )
        assert seconds_taken <= BUDGET.run_s
        shape, rows = option.candidate.shape, option.candidate.batch_size
        assert option.tokens == option.steps * rows * shape.context_length


def test_compiling_is_measured_once_a_shape_and_counted_in_a_long_run_only(
    tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nielsgpt")
    machine, chosen = SimulatedMachine(), list_choices(tiny())
    long = make_planner(tiny(), machine, tmp_path, compiled=True).plan(
        chosen, PilotBudget(7200.0, 60.0)
    )
    assert sum(job.execution.compiled for job in machine.trials) == 3
    assert all(option.execution.compiled for option in long.options)
    make_planner(tiny(), machine, tmp_path, compiled=True).plan(chosen, PilotBudget(7200.0, 60.0))
    assert caplog.text.count("compiling, up to some minutes") == 3  # the second plan knows
    short = make_planner(tiny(), machine, tmp_path, compiled=True).plan(chosen, BUDGET)
    assert not any(option.execution.compiled for option in short.options)
    slow = {o.candidate: o.step_s for o in short.options}
    assert all(o.step_s == pytest.approx(slow[o.candidate] / 2) for o in long.options)


@pytest.mark.parametrize(
    ("status", "advice"), [("timeout", "give it more --pilot-minutes"), ("error", "no text")]
)
def test_a_plan_without_enough_pilots_fails_with_advice(
    tiny: Tiny, tmp_path: Path, status: str, advice: str
) -> None:
    with pytest.raises(RunError, match=f"only 0 of 12 pilots finished, .* needs 3; {advice}"):
        make_planner(tiny(), SimulatedMachine(fails=status), tmp_path).plan(
            list_choices(tiny()), BUDGET
        )


def test_the_summary_names_the_choice_and_when_it_is_done(tiny: Tiny, tmp_path: Path) -> None:
    planner = make_planner(tiny(), SimulatedMachine(), tmp_path)
    plan = planner.plan(list_choices(tiny()), BUDGET)
    text = plan_summary.describe_choice(plan, planner, 3000.0, datetime(2026, 1, 1, 23, 30))
    assert text.startswith(f"chosen: {plan.chosen.candidate}, ")
    assert "bits per byte, better with " in text
    assert "done at 00:30, in 1h00m" in text
    assert len(plan_summary.format_table(plan, planner).splitlines()) == 1 + plan_summary.MAX_ROWS


@pytest.mark.parametrize(
    ("corpus", "warning"),
    [
        (2 * CORPUS, ""),
        (CORPUS // 2, "primer is too small for this time: beyond 16 epochs the model overfits"),
        (200_000, "the run ends early: with more epochs the model would overfit"),
    ],
)
def test_a_plan_warns_of_too_little_text(
    tiny: Tiny, tmp_path: Path, corpus: int, warning: str
) -> None:
    planner = make_planner(tiny(), SimulatedMachine(), tmp_path, corpus=corpus)
    plan = planner.plan(list_choices(tiny())[:3], BUDGET)
    text = plan_summary.describe_choice(plan, planner, 0.0, datetime(2026, 1, 1, 23, 30))
    assert warning in text
    assert ("too small" in text) + ("ends early" in text) == bool(warning)
    assert ("done at 23:40, in 10m" in text) == ("ends early" not in text)


def test_no_option_trains_until_it_overfits_and_its_run_is_shorter(
    tiny: Tiny, tmp_path: Path
) -> None:
    machine = SimulatedMachine()
    plan = make_planner(tiny(), machine, tmp_path, corpus=200_000).plan(
        list_choices(tiny()), BUDGET
    )
    for option in plan.options:
        assert option.steps < option.max_steps
        at_once = option.candidate.batch_size * option.candidate.shape.context_length
        assert option.tokens == option.steps * at_once
        assert 4 <= option.tokens / 200_000 < 60
        assert option.steps * option.step_s < option.seconds < BUDGET.run_s
    longest = max(pilot.settings.training.pretrain.max_steps for pilot in machine.pilots)
    assert longest <= max(option.steps for option in plan.options)


def test_the_written_config_resolves_to_the_same_settings(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny(data={"mix_pretrain": {"primer": 0.5, "text": 0.5}})
    option = (
        make_planner(tiny(), SimulatedMachine(), tmp_path).plan(list_choices(tiny()), BUDGET).chosen
    )
    full = candidates.resolve_settings(tiny(), option.candidate, option.execution, option.steps)
    overrides = load.difference(full.model_dump(mode="json"), base.model_dump(mode="json"))
    (tmp_path / "base.json").write_text(json.dumps(base.model_dump(mode="json")), "utf-8")
    (tmp_path / "plan.json").write_text(json.dumps({"extends": "base.json", **overrides}), "utf-8")
    assert load.load(Path("plan.json"), (), [tmp_path]) == (full, [])
    assert "sft" not in overrides["training"]
    assert overrides["data"] == {"mix_pretrain": {"primer": 1.0}}


@pytest.mark.parametrize("words", [[], ["--hours", "1", "--minutes", "5"]])
def test_the_time_is_given_exactly_once(
    words: list[str], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["plan", *words])
    assert left.value.code == 2
    assert "give the time with --hours or with --minutes" in capsys.readouterr().err
