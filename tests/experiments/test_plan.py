"""Plans, on a machine whose speed and whose law of the loss are known; and once for real."""

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
from nielsgpt.experiments.job import Row, TrialJob
from nielsgpt.experiments.pilot import Pilot
from nielsgpt.experiments.pilot_race import PilotBudget
from nielsgpt.experiments.plan import Plan, Planner
from nielsgpt.experiments.results_store import ResultsStore
from nielsgpt.experiments.scaling_law import GROWTH, unique
from nielsgpt.experiments.throughput import Throughput
from nielsgpt.system.device import ExecutionConfig

Tiny = Callable[..., Settings]
CORPUS = 50_000_000
BUDGET = PilotBudget(600.0, 60.0)


def params(shape: ModelSettings) -> int:
    return 12 * shape.n_layer * shape.n_embd**2


class World:
    """Trials and pilots that take no time. Larger models and small batches are slow; the loss is a
    law of size and data. Compiling makes a machine twice as fast."""

    def __init__(self, fails: str = "") -> None:
        self.fails, self.trials, self.pilots = fails, list[TrialJob](), list[Pilot]()

    def step_s(self, shape: ModelSettings, rows: int) -> float:
        return 6 * params(shape) * (rows * shape.context_length + 500) / 1e12

    def trial(self, job: TrialJob, limits: Any, asked: Any = ()) -> Row:
        self.trials.append(job)
        if job.shape.n_layer == 9:
            return {"status": "oom", "reason": "too large"}
        step = self.step_s(job.shape, job.batch_size) / (2 if job.engine.compiled else 1)
        return {
            "status": "ok",
            "ms_per_step": 1000 * step,
            "tokens_per_second": job.batch_size * job.shape.context_length / step,
            "params": params(job.shape),
            "prepare_s": 60.0 if job.engine.compiled else 1.0,
        }

    def loss(self, shape: ModelSettings, rows: int, tokens: float) -> float:
        waste = 1 + rows * shape.context_length / (4000 * (tokens / 1e6) ** GROWTH)
        data = unique(tokens, CORPUS) / waste
        return float(0.9 + 30 / params(shape) ** 0.34 + 60 / data**0.37)

    def pilot(self, pilot: Pilot, limits: Any, asked: Any = ()) -> Row:
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


def planner(
    settings: Settings, world: World, folder: Path, compiled: bool = False, corpus: int = CORPUS
) -> Planner:
    execution = ExecutionConfig("cpu", "fp32", "plain", compiled, 1, 2)
    ledger = ResultsStore(folder / "results.jsonl", world.trial)
    speeds = Throughput(settings, 260, lambda candidate: execution, ledger)
    pilots = ResultsStore(folder / "pilots.jsonl", world.pilot)
    text = DataBudget({"primer": corpus}, {"primer": 1.0})
    return Planner(settings, "", text, "data", speeds, pilots)


def choices(settings: Settings) -> list[Candidate]:
    sizes = [(2, 64), (4, 128), (6, 256), (9, 512)]
    shapes = [
        settings.model.model_copy(update={"n_layer": n, "n_embd": width}) for n, width in sizes
    ]
    return [Candidate(shape, rows) for shape in shapes for rows in (8, 32, 128)]


def true_losses(plan: Plan, world: World) -> list[float]:
    return [world.loss(o.candidate.shape, o.candidate.batch_size, o.tokens) for o in plan.options]


@pytest.mark.parametrize("seconds", [120.0, 600.0, 7200.0])
def test_the_choice_ends_within_a_hundredth_of_the_best(
    tiny: Tiny, tmp_path: Path, seconds: float
) -> None:
    world = World()
    plan = planner(tiny(), world, tmp_path).plan(choices(tiny()), PilotBudget(seconds, 60.0))
    losses = true_losses(plan, world)
    assert losses[0] - min(losses) < 0.01
    assert losses[0] < sorted(losses)[len(losses) // 2]
    assert len(losses) == 9  # what runs out of memory is no option


def test_a_plan_made_again_measures_nothing(tiny: Tiny, tmp_path: Path) -> None:
    first, second = World(), World()
    once = planner(tiny(), first, tmp_path).plan(choices(tiny()), BUDGET)
    again = planner(tiny(), second, tmp_path).plan(choices(tiny()), BUDGET)
    assert (len(first.trials), len(first.pilots)) == (12, 10)
    assert (second.trials, second.pilots) == ([], [])
    assert [o.candidate for o in once.options] == [o.candidate for o in again.options]
    assert (once.forecast.draws == again.forecast.draws).all()


def test_pilots_take_about_the_time_that_they_were_given(tiny: Tiny, tmp_path: Path) -> None:
    world = World()
    planner(tiny(), world, tmp_path).plan(choices(tiny()), PilotBudget(7200.0, 500.0))
    taken = 0.0
    for pilot in world.pilots:
        phase = pilot.settings.training.pretrain
        taken += phase.max_steps * world.step_s(pilot.settings.model, phase.batch_size)
    assert taken == pytest.approx(500.0, rel=0.1)


def test_the_options_fit_into_the_time(tiny: Tiny, tmp_path: Path) -> None:
    world = World()
    for option in planner(tiny(), world, tmp_path).plan(choices(tiny()), BUDGET).options:
        taken = option.steps * world.step_s(option.candidate.shape, option.candidate.batch_size)
        assert taken <= BUDGET.run_s
        shape, rows = option.candidate.shape, option.candidate.batch_size
        assert option.tokens == option.steps * rows * shape.context_length


def test_compiling_is_measured_once_a_shape_and_counted_in_a_long_run_only(
    tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nielsgpt")
    world, chosen = World(), choices(tiny())
    long = planner(tiny(), world, tmp_path, compiled=True).plan(chosen, PilotBudget(7200.0, 60.0))
    assert sum(job.engine.compiled for job in world.trials) == 3
    assert all(option.engine.compiled for option in long.options)
    planner(tiny(), world, tmp_path, compiled=True).plan(chosen, PilotBudget(7200.0, 60.0))
    assert caplog.text.count("compiling, up to some minutes") == 3  # the second plan knows
    short = planner(tiny(), world, tmp_path, compiled=True).plan(chosen, BUDGET)
    assert not any(option.engine.compiled for option in short.options)
    slow = {o.candidate: o.step_s for o in short.options}
    assert all(o.step_s == pytest.approx(slow[o.candidate] / 2) for o in long.options)


@pytest.mark.parametrize(
    ("status", "advice"), [("timeout", "give it more --pilot-minutes"), ("error", "no text")]
)
def test_pilots_that_fail_are_no_plan_and_the_line_says_what_helps(
    tiny: Tiny, tmp_path: Path, status: str, advice: str
) -> None:
    with pytest.raises(RunError, match=f"only 0 of 12 pilots ended well, .* needs 3; {advice}"):
        planner(tiny(), World(fails=status), tmp_path).plan(choices(tiny()), BUDGET)


def test_a_plan_in_words_names_the_choice_and_when_it_is_done(tiny: Tiny, tmp_path: Path) -> None:
    made = planner(tiny(), World(), tmp_path)
    plan = made.plan(choices(tiny()), BUDGET)
    text = plan_summary.describe_choice(plan, made, 3000.0, datetime(2026, 1, 1, 23, 30))
    assert text.startswith(f"chosen: {plan.chosen.candidate}, ")
    assert "bits per byte, better with " in text
    assert "done at 00:30, in 1h00m" in text
    assert len(plan_summary.table(plan, made).splitlines()) == 1 + plan_summary.SHOWN


@pytest.mark.parametrize(
    ("corpus", "says"),
    [
        (2 * CORPUS, ""),
        (CORPUS // 2, "primer is too small for this time: beyond 16 epochs the model overfits"),
        (200_000, "that is enough: read more often, the text is learnt by heart"),
    ],
)
def test_a_plan_says_where_text_is_short(
    tiny: Tiny, tmp_path: Path, corpus: int, says: str
) -> None:
    made = planner(tiny(), World(), tmp_path, corpus=corpus)
    plan = made.plan(choices(tiny())[:3], BUDGET)
    text = plan_summary.describe_choice(plan, made, 0.0, datetime(2026, 1, 1, 23, 30))
    assert says in text
    assert ("too small" in text) + ("that is enough" in text) == bool(says)
    assert ("done at 23:40, in 10m" in text) == ("that is enough" not in text)


def test_no_option_reads_what_it_would_learn_by_heart_and_its_run_is_shorter(
    tiny: Tiny, tmp_path: Path
) -> None:
    world = World()
    plan = planner(tiny(), world, tmp_path, corpus=200_000).plan(choices(tiny()), BUDGET)
    for option in plan.options:
        assert option.steps < option.most
        at_once = option.candidate.batch_size * option.candidate.shape.context_length
        assert option.tokens == option.steps * at_once
        assert 4 <= option.tokens / 200_000 < 60
        assert option.steps * option.step_s < option.seconds < BUDGET.run_s
    longest = max(pilot.settings.training.pretrain.max_steps for pilot in world.pilots)
    assert longest <= max(option.steps for option in plan.options)


def test_what_a_config_must_say_over_another_settles_to_the_same(
    tiny: Tiny, tmp_path: Path
) -> None:
    base = tiny(data={"mix_pretrain": {"primer": 0.5, "text": 0.5}})
    option = planner(tiny(), World(), tmp_path).plan(choices(tiny()), BUDGET).chosen
    full = candidates.resolve_settings(tiny(), option.candidate, option.engine, option.steps)
    over = load.difference(full.model_dump(mode="json"), base.model_dump(mode="json"))
    (tmp_path / "base.json").write_text(json.dumps(base.model_dump(mode="json")), "utf-8")
    (tmp_path / "plan.json").write_text(json.dumps({"extends": "base.json", **over}), "utf-8")
    assert load.load(Path("plan.json"), (), [tmp_path]) == (full, [])
    assert "sft" not in over["training"]
    assert over["data"] == {"mix_pretrain": {"primer": 1.0}}


@pytest.mark.parametrize("words", [[], ["--hours", "1", "--minutes", "5"]])
def test_the_time_is_asked_for_once(
    words: list[str], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["plan", *words])
    assert left.value.code == 2
    assert "give the time with --hours or with --minutes" in capsys.readouterr().err
