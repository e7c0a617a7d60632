"""The schedules and the optimizers."""

from collections.abc import Callable

import pytest
import torch

from nielsgpt.config.settings import PhaseSettings
from nielsgpt.model.gpt import GPT
from nielsgpt.training.lr_schedule import lr_at
from nielsgpt.training.optimizer import Optimizer


def phase(**over: object) -> PhaseSettings:
    numbers = {
        "max_steps": 100, "warmup_steps": 10, "learning_rate": 1.0, "min_learning_rate": 0.1,
        "optimizer": "adamw", "schedule": "warmup_cosine",
    }  # fmt: skip
    return PhaseSettings.model_validate({**numbers, **over})


@pytest.mark.parametrize("schedule", ["warmup_cosine", "trapezoid"])
def test_the_rate_rises_from_zero_to_the_peak_and_ends_at_the_minimum(schedule: str) -> None:
    rates = [lr_at(step, phase(schedule=schedule)) for step in range(100)]
    assert rates[0] == 0.0
    assert rates[10] == 1.0
    assert rates[99] == pytest.approx(0.1)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_cosine_is_half_way_at_half_time() -> None:
    assert lr_at(10 + 44, phase(max_steps=99)) == pytest.approx(0.55)


def test_trapezoid_holds_the_peak_until_its_cooldown() -> None:
    numbers = phase(schedule="trapezoid", cooldown_fraction=0.5, max_steps=111)
    assert lr_at(60, numbers) == 1.0
    assert lr_at(85, numbers) == pytest.approx(0.55)


def test_constant_stays_at_the_peak() -> None:
    assert {lr_at(step, phase(schedule="constant")) for step in range(10, 100)} == {1.0}


def test_no_schedule_falls_below_the_minimum_after_its_last_step() -> None:
    assert lr_at(150, phase()) == pytest.approx(0.1)
    assert lr_at(150, phase(schedule="trapezoid")) == pytest.approx(0.1)


def test_only_matrices_of_the_blocks_decay(lively: Callable[..., GPT]) -> None:
    model = lively("gpt")
    optimizer = Optimizer(model, phase(weight_decay=0.5))
    decayed = {
        id(p)
        for part, _ in optimizer.parts
        for group in part.param_groups
        for p in group["params"]
        if group["weight_decay"]
    }
    assert decayed == {id(p) for p in model.blocks.parameters() if p.dim() == 2}


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_every_parameter_is_updated_once(kind: str, lively: Callable[..., GPT]) -> None:
    model = lively("gpt_qk")
    optimizer = Optimizer(model, phase(optimizer=kind, warmup_steps=0))
    held = [id(p) for part, _ in optimizer.parts for g in part.param_groups for p in g["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    before = [p.clone() for p in model.parameters()]
    model(torch.randint(300, (2, 8))).square().mean().backward()
    assert optimizer.clip() > 0
    optimizer.step(1.0)
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())


def test_the_first_adamw_step_is_the_papers(lively: Callable[..., GPT]) -> None:
    model = lively("gpt_plus")
    numbers = phase(warmup_steps=0, learning_rate=0.01, min_learning_rate=0.0, grad_clip=0.0)
    optimizer = Optimizer(model, numbers)
    weight = model.blocks[0].mlp.down.weight  # type: ignore[union-attr]
    before = weight.detach().clone()
    model(torch.randint(300, (2, 8))).square().mean().backward()
    gradient = weight.grad.clone()  # type: ignore[union-attr]
    optimizer.step(0.01)
    expected = before * (1 - 0.01 * 0.1) - 0.01 * gradient / (gradient.abs() + 1e-8)
    torch.testing.assert_close(weight.detach(), expected, atol=1e-6, rtol=1e-4)


def test_cautious_decay_of_adamw_spares_what_the_update_makes_larger(
    lively: Callable[..., GPT],
) -> None:
    ends, start = {}, None
    for decay, cautious in ((0.0, False), (0.5, True)):
        model = lively("gpt_plus")
        numbers = phase(weight_decay=decay, cautious_weight_decay=cautious, grad_clip=0.0)
        optimizer = Optimizer(model, numbers)
        weight = model.blocks[0].mlp.down.weight  # type: ignore[union-attr]
        start = weight.detach().clone()
        model(torch.arange(16).view(2, 8)).square().mean().backward()
        optimizer.step(0.01)
        ends[cautious] = weight.detach().clone()
    assert start is not None
    towards_zero = (start - ends[False]) * start > 0
    expected = torch.where(towards_zero, ends[False] - 0.01 * 0.5 * start, ends[False])
    torch.testing.assert_close(ends[True], expected)
    assert 0 < towards_zero.float().mean() < 1
