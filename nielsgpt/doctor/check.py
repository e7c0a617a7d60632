"""Check a training step of a tiny model against the same step in float64.

The reference is float64 on the CPU, not float32: float32 on the CPU is one of the execution modes
to check, and a bound relative to it would miss its own rounding.

A bound is a factor times the unit roundoff u of the precision. The largest errors over seeds 0 to
29, plain and fused, on two cores of an Intel Xeon with AMX and torch 2.13.0:

    precision  u      gradient        its bound       loss     its bound  Muon's update
    fp32       2^-24  2.3e-6 (39 u)   1.5e-5 (256 u)  1.6e-7   9.5e-7     1.4e-6
    bf16       2^-8   3.3e-2 (8.5 u)  7.8e-2 (20 u)   5.2e-4   4.9e-3     3.6e-2
    fp16       2^-11  4.4e-3 (9.0 u)  9.8e-3 (20 u)   5.3e-5   6.1e-4     1.4e-6

by `check(ExecutionConfig("cpu", "bf16", "plain", False, 2), seed).deviations`; compiled, seeds 0 to
4, 1.2e-6, 1.8e-2 and 2.5e-3; AdamW's update 7.4e-7 everywhere. float32 has the widest bound because
other devices may compute exponentials and roots to only a few roundoffs. A gradient that is 10 %
too large is detected in each precision; in bf16 an error below its bound, 8 % of one tensor, is
not.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nielsgpt.doctor.steps import Float64Step, StepResult, StepUnderTest, Tensors, draw_batch
from nielsgpt.errors import first_line
from nielsgpt.system.device import ExecutionConfig

SEED = 1
VARIANTS = ("gpt_qk", "gpt")
# The largest relative error of a tensor that rounding explains.
BOUNDS = {"fp32": 256 * 2.0**-24, "bf16": 20 * 2.0**-8, "fp16": 20 * 2.0**-11}
# The loss is a mean over many tokens, so their errors cancel.
LOSS_SHARE = 1 / 16
MAX_REASON = 160  # characters


@dataclass(frozen=True)
class Deviation:
    """The relative error of one result against the reference, and the largest allowed one."""

    kind: str
    name: str
    error: float
    bound: float

    @property
    def ratio(self) -> float:
        """The error over its bound: above 1 is wrong; infinite if a value is not finite."""
        return self.error / self.bound if math.isfinite(self.error) else math.inf

    def __str__(self) -> str:
        if not math.isfinite(self.error):
            return f"the {self.kind} of {self.name} is not finite"
        return (
            f"the {self.kind} of {self.name} is off by {format_percent(self.error)}, where "
            f"rounding explains {format_percent(self.bound)}"
        )


@dataclass(frozen=True)
class CheckResult:
    """The deviations of an execution config, or torch's error in `failure` if it could not run.

    `is_deterministic`: the same step twice gave the same bits. `step_s`: seconds of a tiny step.
    """

    execution: ExecutionConfig
    deviations: tuple[Deviation, ...] = ()
    is_deterministic: bool = False
    step_s: float = math.nan
    failure: str | None = None

    @property
    def worst(self) -> Deviation:
        """The deviation with the largest ratio to its bound."""
        return max(self.deviations, key=lambda deviation: deviation.ratio)

    @property
    def worst_gradient(self) -> Deviation:
        """The gradient with the largest ratio to its bound."""
        gradients = [one for one in self.deviations if one.kind == "gradient"]
        return max(gradients, key=lambda deviation: deviation.ratio)

    @property
    def is_correct(self) -> bool:
        """True if every deviation is within its bound."""
        return self.failure is None and self.worst.ratio <= 1.0

    @property
    def label(self) -> str:
        """The execution config in a few words, as in "cpu bf16 fused compiled"."""
        execution = self.execution
        words = (execution.device, execution.precision, execution.attention)
        return " ".join((*words, "compiled") if execution.compiled else words)

    @property
    def fault(self) -> str:
        """The worst deviation or torch's error, as a clause."""
        return str(self.worst) if self.failure is None else f"torch fails: {self.failure}"


def format_percent(share: float) -> str:
    """A share with two digits, or in whole percents: 0.0781 as 7.8 %, 1.5 as 150 %."""
    return f"{100 * share:{'.0f' if share >= 1 else '.2g'}} %"


def check(execution: ExecutionConfig, seed: int = SEED) -> CheckResult:
    """Compare steps of `gpt_qk` and `gpt`, with and without masked targets, and both optimizers.

    The error of a tensor is |ours - reference| / |reference|, of a gradient or of the change of a
    weight. A compiled config is checked with one layer of `gpt_qk` only, because compiling takes
    most of the time; optimizers are never compiled, so the uncompiled check covers them.
    """
    try:
        return _compare_steps(execution, seed)
    except RuntimeError as error:  # from torch: no such kernel, no compiler, out of memory
        return CheckResult(execution, failure=first_line(error)[:MAX_REASON])
    finally:
        if execution.compiled:
            # Tiny models would use up the few compiled forms that torch keeps of one function.
            torch.compiler.reset()


def _compare_steps(execution: ExecutionConfig, seed: int) -> CheckResult:
    deviations: list[Deviation] = []
    repeats: list[bool] = []
    seconds: list[float] = []
    for variant in VARIANTS[:1] if execution.compiled else VARIANTS:
        model = (variant, 1 if execution.compiled else 2, seed)
        tested, reference = StepUnderTest(execution, *model), Float64Step(*model)
        gradients: list[Tensors] = []
        for masked in (False, True):
            batch = draw_batch(seed, masked)
            expected = reference.run_step(*batch)
            first, second = tested.run_step(*batch), tested.run_step(*batch)
            deviations += _compare_results(variant, execution, first, expected)
            repeats.append(_are_equal(first, second))
            seconds.append(second.seconds)
            gradients.append(expected.gradients)
        if not execution.compiled and variant == VARIANTS[0]:
            deviations += _compare_optimizers(execution, model, gradients)
    return CheckResult(execution, tuple(deviations), all(repeats), min(seconds))


def _compare_results(
    variant: str, execution: ExecutionConfig, ours: StepResult, reference: StepResult
) -> Iterator[Deviation]:
    bound = BOUNDS[execution.precision]
    loss_error = abs(ours.loss - reference.loss) / reference.loss
    yield Deviation("loss", variant, loss_error, bound * LOSS_SHARE)
    for name, exact in reference.gradients.items():
        error = _relative_error(ours.gradients.get(name), exact)
        yield Deviation("gradient", f"{name} ({variant})", error, bound)


def _compare_optimizers(
    execution: ExecutionConfig, model: tuple[str, int, int], gradients: list[Tensors]
) -> Iterator[Deviation]:
    """Two steps of each optimizer from the reference's gradients, to show only its own error.

    Weights and AdamW are float32 in every precision; with bf16, Muon's products are bfloat16.
    """
    muon_precision = "bf16" if execution.precision == "bf16" else "fp32"
    for optimizer, precision in (("adamw", "fp32"), ("muon", muon_precision)):
        ours = StepUnderTest(execution, *model).run_optimizer(optimizer, gradients)
        for name, exact in Float64Step(*model).run_optimizer(optimizer, gradients).items():
            error = _relative_error(ours[name], exact)
            yield Deviation(f"{optimizer} update", f"{name} ({model[0]})", error, BOUNDS[precision])


def _relative_error(ours: Tensor | None, exact: Tensor) -> float:
    """|ours - exact| / |exact|; a missing gradient counts as zero."""
    return float(((0 if ours is None else ours) - exact).norm() / exact.norm())


def _are_equal(first: StepResult, second: StepResult) -> bool:
    return first.loss == second.loss and all(
        torch.equal(first.gradients[name], gradient) for name, gradient in second.gradients.items()
    )
