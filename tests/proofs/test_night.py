"""Truths of a night: whatever fails on the way, the morning finds a sound model."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.errors import RunError
from nielsgpt.model.gpt import GPT
from nielsgpt.pipeline import pipeline, train_phase
from nielsgpt.system import machine
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.system.workspace import Workspace
from nielsgpt.training.trainer import Trainer
from tests.proofs.test_training import Tiny, one_conversation, trainer, weights

Row = dict[str, Any]


def poisoned(monkeypatch: pytest.MonkeyPatch, hits: set[int], once: bool) -> list[int]:
    """NaN in one gradient of some steps: each time they come, or the first time alone."""
    plain, struck = Trainer._accumulate, []

    def strike(self: Trainer, inputs: Any, targets: Any, counted: int) -> float:
        nats = plain(self, inputs, targets, counted)
        if self.step in hits and not (once and self.step in struck):
            struck.append(self.step)
            gradient = next(p.grad for p in self.model.parameters() if p.grad is not None)
            gradient.view(-1)[7] = float("nan")
        return nats

    monkeypatch.setattr(Trainer, "_accumulate", strike)
    return struck


def night(root: Path, tiny: Tiny, **numbers: Any) -> Workspace:
    workspace = Workspace(root, tiny(training={"pretrain": numbers}))
    pipeline.caches(workspace)
    return workspace


def events(workspace: Workspace) -> list[dict[str, Any]]:
    (run,) = workspace.runs.iterdir()
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def newest(workspace: Workspace) -> dict[str, Any]:
    return checkpoint_file.load(workspace.checkpoints / "pretrain" / "latest.pt")


def is_finite(state: dict[str, Any]) -> bool:
    return all(bool(p.isfinite().all()) for p in state["weights"].values())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nan_in_one_gradient_costs_one_step(
    seed: int, tiny: Tiny, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = random.Random(seed).randrange(12)
    struck = poisoned(monkeypatch, {step}, once=True)
    work = night(root, tiny, max_steps=12)
    train_phase.train(work, "pretrain")
    assert struck == [step]
    assert [(e["kind"], e["step"]) for e in events(work) if e["kind"] == "skip"] == [
        ("skip", step + 1)
    ]
    assert newest(work)["step"] == 12
    assert is_finite(newest(work))


@pytest.mark.parametrize("once", [True, False], ids=["once", "each time"])
def test_nan_three_times_in_a_row_leads_back_and_the_run_ends_finite(
    once: bool, tiny: Tiny, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, {5, 6, 7}, once)
    work = night(root, tiny, max_steps=12)
    train_phase.train(work, "pretrain")
    assert [e["step"] for e in events(work) if e["kind"] == "rollback"] == [8]
    state = newest(work)
    assert (state["step"], state["guard"]["rate_scale"]) == (12, 0.5)
    assert is_finite(state)
    (run,) = work.runs.iterdir()
    steps = [line.split(",")[0] for line in (run / "metrics.csv").read_text().splitlines()[1:]]
    assert steps == [str(n) for n in range(1, 13)]


def short_of_memory(monkeypatch: pytest.MonkeyPatch, most: int, in_training: bool = True) -> None:
    """A machine on which more than `most` rows at once do not fit, in training or evaluation."""
    plain = GPT.trunk

    def trunk(self: GPT, ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        if self.training == in_training and not ids.is_meta and ids.size(0) > most:
            raise torch.OutOfMemoryError("out of memory")
        return plain(self, ids, *rest)

    monkeypatch.setattr(GPT, "trunk", trunk)


def test_a_run_short_of_memory_equals_one_with_small_micro_batches_and_stays_small(
    tiny: Tiny, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = night(root / "small", tiny, batch_size=8, micro_batch_size=2)
    train_phase.train(small, "pretrain")
    short_of_memory(monkeypatch, 2)
    work = night(root / "short", tiny, batch_size=8, micro_batch_size=8)
    train_phase.train(work, "pretrain")
    texts = [e["text"] for e in events(work) if e["kind"] == "out of memory"]
    assert texts == ["micro-batches of 2 instead of 8"]
    for name, tensor in newest(small)["weights"].items():
        torch.testing.assert_close(newest(work)["weights"][name], tensor, atol=1e-6, rtol=0)
    longer = night(root / "short", tiny, batch_size=8, micro_batch_size=8, max_steps=8)
    train_phase.train(longer, "pretrain")
    assert newest(longer)["micro_batch_size"] == 2
    assert len([e for e in events(work) if e["kind"] == "out of memory"]) == 1


def test_an_evaluation_short_of_memory_goes_on_in_smaller_parts_and_measures_the_same(
    tiny: Tiny, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = night(root / "plain", tiny, batch_size=8, micro_batch_size=8)
    train_phase.train(plain, "pretrain")
    short_of_memory(monkeypatch, 2, in_training=False)
    short = night(root / "short", tiny, batch_size=8, micro_batch_size=8)
    train_phase.train(short, "pretrain")
    assert newest(short)["micro_batch_size"] == 2
    assert newest(short)["best"] == pytest.approx(newest(plain)["best"], abs=1e-5)


def test_resuming_at_each_of_fifty_steps_equals_the_straight_run(
    tiny: Tiny, tmp_path: Path
) -> None:
    rows = one_conversation(tmp_path)
    over: Row = {
        "max_steps": 50, "ema_decay": 0.9, "optimizer": "muon", "batch_size": 4,
        "micro_batch_size": 2,
    }  # fmt: skip
    settings = tiny(model={"dropout": 0.1})
    straight, states = trainer(settings, rows, **over), []
    for _ in range(50):
        states.append(checkpoint_file.snapshot(straight.state()))
        straight.train_step()
    broken = trainer(settings, rows, **over)
    for state in states:
        again = trainer(settings, rows, **over)
        again.load(broken.state() if broken.step else state)
        again.train_step()
        broken = again
        if broken.step < 50:
            expected = states[broken.step]
            assert torch.equal(weights(broken), torch.cat(
                [expected["weights"][n].flatten() for n, _ in broken.model.named_parameters()]
            ))  # fmt: skip
            for name, mean in expected["average"]["weights"].items():
                assert broken.ema is not None
                assert torch.equal(broken.ema.weights()[name], mean)
    assert torch.equal(weights(broken), weights(straight))


def test_a_full_disk_ends_the_run_in_one_line_and_the_same_command_goes_on(
    tiny: Tiny, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = night(root, tiny, max_steps=8)
    plain = machine.free_disk_bytes
    monkeypatch.setattr(
        machine,
        "free_disk_bytes",
        lambda folder: 1000 if (folder / "step_0000004.pt").exists() else 10**12,
    )
    with pytest.raises(
        RunError, match=r"no space left to write .*; what was saved before is intact"
    ):
        train_phase.train(work, "pretrain")
    assert newest(work)["step"] in (4, 6)
    monkeypatch.setattr(machine, "free_disk_bytes", plain)
    train_phase.train(work, "pretrain")
    assert newest(work)["step"] == 8


def test_a_run_that_ended_early_is_up_to_date(
    tiny: Tiny, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    over = {"early_stopping_patience": 1, "early_stopping_min_delta": 100.0, "max_steps": 30}
    work = night(root, tiny, eval_every=2, **over)
    train_phase.train(work, "pretrain")
    ended = newest(work)["step"]
    assert ended < 30
    train_phase.train(work, "pretrain")
    assert f"pretrain: up to date at step {ended}" in caplog.text


def test_float16_on_a_cpu_goes_on_after_overflows_and_learns(tiny: Tiny, tmp_path: Path) -> None:
    like = trainer(
        tiny(), one_conversation(tmp_path), max_steps=60, learning_rate=0.01, warmup_steps=2,
        batch_size=4, micro_batch_size=4, outlier_sigmas=0.0,
    )  # fmt: skip
    half = ExecutionConfig("cpu", "fp16", "plain", False, 1)
    made = Trainer(
        like.model, like.phase, half, like.batches, like.validation, like.shares,
        like.byte_lengths, like.seed,
    )  # fmt: skip
    made.grad_scaler.value = 2.0**40
    before = weights(made)
    first = made.train_step()
    assert "overflowed float16" in str(first["skipped"])
    assert made.grad_scaler.value == 2.0**39
    assert torch.equal(weights(made), before)
    rows = [made.train_step() for _ in range(59)]
    taken = [row["train_loss"] for row in rows if row["skipped"] is None]
    assert len(taken) > 20
    assert taken[-1] < taken[0] / 2
