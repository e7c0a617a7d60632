"""What the loop makes of time, patience, signals and states, without a model."""

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from nielsgpt.errors import RunError, Stopped
from nielsgpt.model.gpt import GPT
from nielsgpt.training import run_log as run_logs
from nielsgpt.training.loop import TrainingLoop
from nielsgpt.training.run_log import RunLog
from nielsgpt.training.spike_guard import MOST_ROLLBACKS
from nielsgpt.training.trainer import Trainer
from tests.proofs.test_training import Tiny, one_conversation, trainer


class Memory:
    """A store that keeps copies of states."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []

    def save(self, trainer: Trainer, improved: bool) -> None:
        from nielsgpt.checkpoint.checkpoint_file import snapshot

        self.kept.append(snapshot(trainer.state()))

    def newest(self) -> Mapping[str, Any] | None:
        return self.kept[-1] if self.kept else None

    def finish(self) -> None:
        pass


def loop(made: Trainer, folder: Path, store: Memory) -> TrainingLoop:
    folder.mkdir(exist_ok=True)
    notes = RunLog(folder, "sft", ["c"], made.step, made.schedule.end, 1)
    return TrainingLoop(made, notes, store)


def kinds(folder: Path) -> list[str]:
    path = folder / run_logs.EVENTS
    return [line["kind"] for line in run_logs.lines(path)] if path.exists() else []


def made(tiny: Tiny, folder: Path, **over: Any) -> Trainer:
    numbers = {"max_steps": 8, "batch_size": 4, "micro_batch_size": 4, "eval_every": 2} | over
    return trainer(tiny(), one_conversation(folder), **numbers)


def test_patience_ends_a_run_that_does_not_get_better(tiny: Tiny, tmp_path: Path) -> None:
    run = made(tiny, tmp_path, early_stopping_patience=2, early_stopping_min_delta=100.0)
    run.best = 0.0
    assert loop(run, tmp_path / "run", Memory()).run() == "early stop"
    assert run.step == 4
    assert "early stop" in kinds(tmp_path / "run")


@pytest.mark.parametrize(("steps", "warns"), [(5, True), (4, False)])
def test_a_source_that_is_repeated_until_the_model_overfits_is_named(
    tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture, steps: int, warns: bool
) -> None:
    run = made(tiny, tmp_path, max_steps=steps, batch_size=32)  # of the same eight rows
    loop(run, tmp_path / "run", Memory()).run()
    assert (
        "c will be repeated for 20 epochs; beyond 16 the model overfits" in caplog.text
    ) == warns


def test_a_better_evaluation_starts_the_patience_anew(tiny: Tiny, tmp_path: Path) -> None:
    run = made(tiny, tmp_path, early_stopping_patience=2, learning_rate=0.01, warmup_steps=0)
    assert loop(run, tmp_path / "run", Memory()).run() == "done"
    assert run.evals_without_improvement == 0


def test_weights_that_are_not_finite_are_never_saved_and_the_run_goes_back(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, store, plain, hit = made(tiny, tmp_path), Memory(), Trainer.evaluate, []

    def struck(self: Trainer, counts: bool = True) -> bool:
        improved = plain(self, counts)
        if self.step == 4 and not hit:
            hit.append(self.step)
            with torch.no_grad():
                next(self.model.parameters()).view(-1)[0] = float("nan")
            return True
        return improved

    monkeypatch.setattr(Trainer, "evaluate", struck)
    assert loop(run, tmp_path / "run", store).run() == "done"
    assert "rollback" in kinds(tmp_path / "run")
    assert all(p.isfinite().all() for state in store.kept for p in state["weights"].values())
    assert run.is_finite()
    rows = [int(row["iter"]) for row in run_logs.rows(tmp_path / "run" / run_logs.METRICS)]
    assert rows == list(range(1, 9))


def test_what_never_gets_better_ends_in_one_line(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(tiny, tmp_path, max_steps=1000, rollback_after=1)
    with torch.no_grad():
        run.model.norm.weight.fill_(float("nan"))
    with pytest.raises(RunError, match=f"did not help {MOST_ROLLBACKS} times") as raised:
        loop(run, tmp_path / "run", Memory()).run()
    assert "\n" not in str(raised.value)
    assert run.step < 200


def test_a_signal_leaves_a_step_between_two_of_its_micro_batches(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = {"batch_size": 64, "micro_batch_size": 1, "max_steps": 4, "eval_every": 100}
    straight = made(tiny, tmp_path, **over)
    loop(straight, tmp_path / "straight", Memory()).run()
    run, store, calls = made(tiny, tmp_path, **over), Memory(), []
    plain = run.forward_backward

    def counted(*arguments: Any) -> torch.Tensor:
        calls.append(run.step)
        if len(calls) == 64 + 5:
            signal.raise_signal(signal.SIGTERM)
        return plain(*arguments)

    run.forward_backward = counted  # type: ignore[assignment]
    with pytest.raises(Stopped, match="stopped at step 1 of 4"):
        loop(run, tmp_path / "run", store).run()
    assert len(calls) == 64 + 5
    again = made(tiny, tmp_path, **over)
    again.load(store.kept[-1])
    loop(again, tmp_path / "run", store).run()
    for p, q in zip(again.model.parameters(), straight.model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_signal_leaves_an_evaluation_which_the_next_session_makes_up_for(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = {"micro_batch_size": 1, "max_steps": 4, "eval_batches": 2}
    straight = made(tiny, tmp_path, **over)
    loop(straight, tmp_path / "straight", Memory()).run()
    run, store, calls = made(tiny, tmp_path, **over), Memory(), []
    plain = GPT.trunk

    def counted(self: GPT, ids: torch.Tensor) -> torch.Tensor:
        if not self.training:
            calls.append(1)
            if len(calls) == 1:
                signal.raise_signal(signal.SIGTERM)
        return plain(self, ids)

    monkeypatch.setattr(GPT, "trunk", counted)
    with pytest.raises(Stopped, match="stopped at step 2 of 4"):
        loop(run, tmp_path / "run", store).run()
    assert len(calls) == 1
    again = made(tiny, tmp_path, **over)
    again.load(store.kept[-1])
    assert loop(again, tmp_path / "run", store).run() == "done"
    assert (again.best, again.evals_without_improvement) == (
        straight.best,
        straight.evals_without_improvement,
    )
    columns = ("iter", "train_loss", "val_loss", "best_val_loss")
    noted = [
        [[row[c] for c in columns] for row in run_logs.rows(tmp_path / name / run_logs.METRICS)]
        for name in ("run", "straight")
    ]
    assert noted[0] == noted[1]


def test_a_second_signal_ends_at_once(tiny: Tiny, tmp_path: Path) -> None:
    run = made(tiny, tmp_path)
    plain = run.forward_backward

    def twice(*arguments: Any) -> torch.Tensor:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return plain(*arguments)

    run.forward_backward = twice  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        loop(run, tmp_path / "run", Memory()).run()


def test_a_batch_without_a_supervised_token_is_skipped_in_words(tiny: Tiny, tmp_path: Path) -> None:
    from nielsgpt.data.cache.loader import IGNORED, Batch

    run = made(tiny, tmp_path)
    batch = run.batches.batch(0)
    empty = Batch(batch.inputs, batch.targets * 0 + IGNORED)
    run.batches.batch = lambda step, drawn: empty if step == 1 else batch  # type: ignore[method-assign]
    rows = [run.train_step() for _ in range(3)]
    assert [row["skipped"] for row in rows] == [None, "none of its tokens is supervised", None]
    assert run.spike_guard.skipped == 0


def test_a_changed_batch_size_repeats_no_row_and_counts_what_was_read(
    tiny: Tiny, tmp_path: Path
) -> None:
    first = made(tiny, tmp_path, batch_size=4)
    for _ in range(3):
        first.train_step()
    state = first.state()
    then = made(tiny, tmp_path, batch_size=8, micro_batch_size=8)
    then.load(state)
    row = then.train_step()
    assert then.drawn == 3 * 4 + 8
    assert row["tokens_seen"] == then.drawn * then.model.context_length
    old = {key: value for key, value in state.items() if key != "drawn"}
    then.load(old | {"facts": {"numbers": {"batch_size": 4}}})
    assert then.drawn == 12
