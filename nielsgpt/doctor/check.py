"""One training step of a tiny model on an engine, held against the same step in float64.

The reference is float64 on the CPU, not float32: float32 on the CPU is one of the ways to be
judged, and its own rounding would be lost from its bound.

A bound is a factor times the unit roundoff u of the precision. Seen at most, over seeds 0 to 29,
plain and fused, on two cores of an Intel Xeon with AMX and torch 2.13.0:

    precision  u      gradient        its bound       loss     its bound  Muon's update
    fp32       2^-24  2.3e-6 (39 u)   1.5e-5 (256 u)  1.6e-7   9.5e-7     1.4e-6
    bf16       2^-8   3.3e-2 (8.5 u)  7.8e-2 (20 u)   5.2e-4   4.9e-3     3.6e-2
    fp16       2^-11  4.4e-3 (9.0 u)  9.8e-3 (20 u)   5.3e-5   6.1e-4     1.4e-6

by `check(Engine("cpu", "bf16", "plain", False, 2), seed).findings`; compiled, seeds 0 to 4, 1.2e-6,
1.8e-2 and 2.5e-3; AdamW's update 7.4e-7 everywhere. float32 has the widest bound, for other devices
may take exponentials and roots to a few roundoffs only. A gradient a tenth too large is seen in
each precision; an error below the bound of bf16, 8 % of one tensor, is not seen in bf16.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nielsgpt.doctor.steps import Float64Step, Step, StepUnderTest, Tensors, batch
from nielsgpt.errors import first_line
from nielsgpt.system.device import ExecutionConfig

SEED = 1
VARIANTS = ("gpt_qk", "gpt")
# The largest relative error of a tensor that rounding explains.
BOUNDS = {"fp32": 256 * 2.0**-24, "bf16": 20 * 2.0**-8, "fp16": 20 * 2.0**-11}
# The loss is a mean over many tokens, whose errors cancel.
LOSS_SHARE = 1 / 16


@dataclass(frozen=True)
class Deviation:
    """How far one result is from the reference, relative to its norm, and how far it may be."""

    kind: str
    name: str
    error: float
    bound: float

    @property
    def share(self) -> float:
        """The error in bounds: above 1 is wrong; infinite where a value is not finite."""
        return self.error / self.bound if math.isfinite(self.error) else math.inf

    def __str__(self) -> str:
        if not math.isfinite(self.error):
            return f"the {self.kind} of {self.name} is not finite"
        return (
            f"the {self.kind} of {self.name} is off by {percent(self.error)}, where rounding "
            f"explains {percent(self.bound)}"
        )


@dataclass(frozen=True)
class CheckResult:
    """What a check found; `failure` is what torch said where it could not compute at all.

    `repeats`: the same step twice gave the same bits. `step_s`: seconds of a tiny step.
    """

    engine: ExecutionConfig
    findings: tuple[Deviation, ...] = ()
    repeats: bool = False
    step_s: float = math.nan
    failure: str | None = None

    @property
    def worst(self) -> Deviation:
        """The finding nearest to its bound, or farthest beyond."""
        return max(self.findings, key=lambda finding: finding.share)

    @property
    def worst_gradient(self) -> Deviation:
        """The same among gradients."""
        gradients = [finding for finding in self.findings if finding.kind == "gradient"]
        return max(gradients, key=lambda finding: finding.share)

    @property
    def sound(self) -> bool:
        """Whether everything is within its bound."""
        return self.failure is None and self.worst.share <= 1.0

    @property
    def path(self) -> str:
        """The way of computing in a few words."""
        engine = self.engine
        words = (engine.device, engine.precision, engine.attention)
        return " ".join((*words, "compiled") if engine.compiled else words)

    @property
    def fault(self) -> str:
        """What is wrong, in a clause."""
        return str(self.worst) if self.failure is None else f"torch fails: {self.failure}"


def percent(share: float) -> str:
    """A share as text, to two digits or to whole percents: 0.0781 as 7.8 %, 1.5 as 150 %."""
    return f"{100 * share:{'.0f' if share >= 1 else '.2g'}} %"


def check(execution: ExecutionConfig, seed: int = SEED) -> CheckResult:
    """One step of `gpt_qk` and of `gpt`, whole and masked, and two of each optimizer, judged.

    Per tensor: |ours - reference| / |reference|, of a gradient or of the change of a weight. On a
    compiled engine it is one layer of `gpt_qk` alone, for compiling is what takes the time; the
    optimizers, which are never compiled, are left to the check of the uncompiled one.
    """
    try:
        return _judge(execution, seed)
    except RuntimeError as error:  # of torch: no such kernel here, no compiler, no memory
        said = first_line(error)
        return CheckResult(execution, failure=said[:160])
    finally:
        if execution.compiled:
            # Tiny models would use up the few compiled forms that torch keeps of one function.
            torch.compiler.reset()


def _judge(execution: ExecutionConfig, seed: int) -> CheckResult:
    findings: list[Deviation] = []
    same: list[bool] = []
    seconds: list[float] = []
    for variant in VARIANTS[:1] if execution.compiled else VARIANTS:
        which = (variant, 1 if execution.compiled else 2, seed)
        trial, reference, exact = StepUnderTest(execution, *which), Float64Step(*which), []
        for masked in (False, True):
            rows = batch(seed, masked)
            wanted, first, second = reference.step(*rows), trial.step(*rows), trial.step(*rows)
            findings += _compare(variant, execution, first, wanted)
            same.append(_same(first, second))
            seconds.append(second.seconds)
            exact.append(wanted.gradients)
        if not execution.compiled and variant == VARIANTS[0]:
            findings += _optimizers(execution, which, exact)
    return CheckResult(execution, tuple(findings), all(same), min(seconds))


def _compare(
    variant: str, execution: ExecutionConfig, ours: Step, reference: Step
) -> Iterator[Deviation]:
    bound = BOUNDS[execution.precision]
    off = abs(ours.loss - reference.loss) / reference.loss
    yield Deviation("loss", variant, off, bound * LOSS_SHARE)
    for name, exact in reference.gradients.items():
        error = _off(ours.gradients.get(name), exact)
        yield Deviation("gradient", f"{name} ({variant})", error, bound)


def _optimizers(
    execution: ExecutionConfig, which: tuple[str, int, int], gradients: list[Tensors]
) -> Iterator[Deviation]:
    """Two steps of each optimizer from the reference's gradients, so that only its own error shows.

    Weights and AdamW are float32 whatever flows through the model; Muon's products are bfloat16
    beside bfloat16.
    """
    half = "bf16" if execution.precision == "bf16" else "fp32"
    for optimizer, precision in (("adamw", "fp32"), ("muon", half)):
        ours = StepUnderTest(execution, *which).updates(optimizer, gradients)
        for name, exact in Float64Step(*which).updates(optimizer, gradients).items():
            error = _off(ours[name], exact)
            yield Deviation(f"{optimizer} update", f"{name} ({which[0]})", error, BOUNDS[precision])


def _off(ours: Tensor | None, exact: Tensor) -> float:
    """|ours - exact| / |exact|; no gradient at all is a gradient of zero."""
    return float(((0 if ours is None else ours) - exact).norm() / exact.norm())


def _same(first: Step, second: Step) -> bool:
    return first.loss == second.loss and all(
        torch.equal(first.gradients[name], gradient) for name, gradient in second.gradients.items()
    )
