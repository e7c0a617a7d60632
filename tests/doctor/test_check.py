"""The check: correct execution configs pass, and the reference they are compared with is exact."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from nielsgpt.doctor.check import CheckResult, Deviation, check, format_percent
from nielsgpt.doctor.steps import Float64Mode, Float64Step, build_dense_model, draw_batch
from nielsgpt.system.device import ExecutionConfig

FP32 = ExecutionConfig("cpu", "fp32", "plain", False, 1)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("attention", ["plain", "fused"])
def test_every_execution_config_is_correct_on_this_cpu(precision: Any, attention: Any) -> None:
    result = check(replace(FP32, precision=precision, attention=attention))
    assert result.is_correct, result.fault
    assert result.is_deterministic
    assert {deviation.kind for deviation in result.deviations} == {
        "loss",
        "gradient",
        "adamw update",
        "muon update",
    }
    names = " ".join(deviation.name for deviation in result.deviations)
    for part in ("q_norm.weight", "mlp.down.weight", "positions.weight", "qkv.bias", "embedding"):
        assert part in names


@pytest.mark.parametrize(
    ("errors", "is_correct"),
    [((0.5, 1.0), True), ((0.5, 1.1), False), ((math.nan, 0.5), False), ((0.5, math.inf), False)],
)
def test_a_result_is_as_correct_as_its_worst_deviation(
    errors: tuple[float, float], is_correct: bool
) -> None:
    loss, gradient = errors
    deviations = (
        Deviation("loss", "gpt", loss, 1.0),
        Deviation("gradient", "norm (gpt)", gradient, 1.0),
    )
    assert CheckResult(FP32, deviations, True, 0.01).is_correct is is_correct


@pytest.mark.parametrize("variant", ["gpt_qk", "gpt"])
def test_the_reference_is_float64_throughout(variant: str) -> None:
    """The directional derivative equals a finite difference, to far below float32 rounding."""
    reference, (inputs, targets) = Float64Step(variant, 2, 0), draw_batch(0, True)
    slopes = reference.run_step(inputs, targets).gradients
    parameters = dict(reference.model.named_parameters())
    generator = torch.Generator().manual_seed(5)
    direction = {
        n: torch.randn(p.shape, generator=generator, dtype=p.dtype) for n, p in parameters.items()
    }
    losses = []
    for sign in (1, -2, 1):
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter += sign * 1e-6 * direction[name]
        losses.append(reference.run_step(inputs, targets).loss)
    exact = sum(float((slopes[name] * direction[name]).sum()) for name in slopes)
    assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(exact, rel=1e-7)


def test_the_masked_batch_counts_some_targets_of_each_row_and_not_all() -> None:
    counted = (draw_batch(1, True)[1] != -100).sum(1)
    assert (counted > 0).all()
    assert (counted < 32).all()
    assert (draw_batch(1, False)[1] != -100).all()


def test_the_dense_model_has_no_zero_weight_and_is_exact_in_bfloat16() -> None:
    for name, parameter in build_dense_model("gpt", 2, 1).named_parameters():
        assert parameter.count_nonzero() == parameter.numel(), name
        assert torch.equal(parameter, parameter.bfloat16().float()), name


def test_float64_mode_widens_floats_and_nothing_else() -> None:
    with Float64Mode():
        assert torch.zeros(2, dtype=torch.float32).dtype == torch.float64
        assert torch.zeros(2).to(torch.bfloat16).dtype == torch.float64
        assert torch.zeros(2).float().dtype == torch.float64
        assert torch.zeros(2).long().dtype == torch.int64


def test_percentages_have_two_digits_and_above_a_hundred_no_fraction() -> None:
    shares = (1.5e-5, 0.078125, 1.0, 12.345)
    assert [format_percent(share) for share in shares] == ["0.0015 %", "7.8 %", "100 %", "1234 %"]
