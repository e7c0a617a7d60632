"""The check: sound ways of computing pass, and what they are held against is exact."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from nielsgpt.doctor.check import CheckResult, Deviation, check, percent
from nielsgpt.doctor.steps import Float64Step, InFloat64, batch, lively
from nielsgpt.system.device import ExecutionConfig

FP32 = ExecutionConfig("cpu", "fp32", "plain", False, 1)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("attention", ["plain", "fused"])
def test_every_way_of_computing_on_this_cpu_is_sound(precision: Any, attention: Any) -> None:
    verdict = check(replace(FP32, precision=precision, attention=attention))
    assert verdict.sound, verdict.fault
    assert verdict.repeats
    assert {finding.kind for finding in verdict.findings} == {
        "loss",
        "gradient",
        "adamw update",
        "muon update",
    }
    names = " ".join(finding.name for finding in verdict.findings)
    for part in ("q_norm.weight", "mlp.down.weight", "positions.weight", "qkv.bias", "embedding"):
        assert part in names


@pytest.mark.parametrize(
    ("errors", "sound"),
    [((0.5, 1.0), True), ((0.5, 1.1), False), ((math.nan, 0.5), False), ((0.5, math.inf), False)],
)
def test_a_verdict_is_as_sound_as_its_worst_finding(
    errors: tuple[float, float], sound: bool
) -> None:
    loss, gradient = errors
    found = (
        Deviation("loss", "gpt", loss, 1.0),
        Deviation("gradient", "norm (gpt)", gradient, 1.0),
    )
    assert CheckResult(FP32, found, True, 0.01).sound is sound


@pytest.mark.parametrize("variant", ["gpt_qk", "gpt"])
def test_the_reference_is_float64_throughout(variant: str) -> None:
    """Along a line through the weights the slope is that of differences, to far below float32."""
    reference, (inputs, targets) = Float64Step(variant, 2, 0), batch(0, True)
    slopes = reference.step(inputs, targets).gradients
    parameters = dict(reference.model.named_parameters())
    draw = torch.Generator().manual_seed(5)
    way = {n: torch.randn(p.shape, generator=draw, dtype=p.dtype) for n, p in parameters.items()}
    losses = []
    for sign in (1, -2, 1):
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter += sign * 1e-6 * way[name]
        losses.append(reference.step(inputs, targets).loss)
    exact = sum(float((slopes[name] * way[name]).sum()) for name in slopes)
    assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(exact, rel=1e-7)


def test_the_masked_batch_counts_some_targets_of_each_row_and_not_all() -> None:
    counted = (batch(1, True)[1] != -100).sum(1)
    assert (counted > 0).all()
    assert (counted < 32).all()
    assert (batch(1, False)[1] != -100).all()


def test_no_weight_of_the_lively_model_is_zero_and_rounding_changes_none() -> None:
    for name, parameter in lively("gpt", 2, 1).named_parameters():
        assert parameter.count_nonzero() == parameter.numel(), name
        assert torch.equal(parameter, parameter.bfloat16().float()), name


def test_float64_mode_widens_what_is_asked_for_and_nothing_else() -> None:
    with InFloat64():
        assert torch.zeros(2, dtype=torch.float32).dtype == torch.float64
        assert torch.zeros(2).to(torch.bfloat16).dtype == torch.float64
        assert torch.zeros(2).float().dtype == torch.float64
        assert torch.zeros(2).long().dtype == torch.int64


def test_percentages_have_two_digits_and_above_a_hundred_no_fraction() -> None:
    shares = (1.5e-5, 0.078125, 1.0, 12.345)
    assert [percent(share) for share in shares] == ["0.0015 %", "7.8 %", "100 %", "1234 %"]
