"""Whether an engine may train: checked once on a machine, remembered, refused where it is wrong."""

import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nielsgpt import __version__
from nielsgpt.doctor.check import CheckResult, check, percent
from nielsgpt.errors import EngineError
from nielsgpt.system import machine
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.system.workspace import fingerprint

log = logging.getLogger("nielsgpt")
DRIVER = Path("/proc/driver/nvidia/version")
# What to try instead of a path that is wrong, uncompiled, the nearest first: fields to replace.
INSTEAD: tuple[dict[str, Any], ...] = (
    {},
    {"attention": "plain"},
    {"precision": "fp32"},
    {"precision": "fp32", "attention": "plain"},
    {"precision": "fp32", "attention": "plain", "device": "cpu"},
)
OPTIONS = {
    "device": "--device cpu",
    "precision": "--set device.precision=fp32",
    "attention": "--set model.attention=plain",
    "compiled": "--set device.compile=off",
}


def require_trusted(execution: ExecutionConfig) -> None:
    """Check this engine, unless it once passed on this machine with this torch and this nielsgpt.

    A compiled engine is checked uncompiled first: that tells a wrong kernel from a wrong compiler.
    On two cores of a Xeon the first check took 0.4 s, and 14 s more to compile the tiny model.
    Raises EngineError with what is wrong and the options of a way that passes.
    """
    key = identity(execution)
    if machine.recall("trust", key) is not None:
        return
    verdict = check(replace(execution, compiled=False))
    if verdict.sound and execution.compiled:
        log.info("doctor: checking %s compiled, once on this machine", verdict.path)
        verdict = check(execution)
    if not verdict.sound:
        raise EngineError(untrusted_message(verdict))
    log.info("doctor: %s", trusted_message(verdict))
    machine.remember("trust", key, trusted_message(verdict))


def identity(execution: ExecutionConfig) -> str:
    """A name for this engine on this machine: another one where anything that computes changed."""
    facts = {name: fact for name, fact in execution.facts().items() if name != "micro_batch_size"}
    known = machine.facts()
    here = {name: known[name] for name in ("processor", "system")}
    if execution.device.startswith("cuda"):
        here["gpu"] = torch.cuda.get_device_name(execution.device)
        with suppress(OSError):
            here["driver"] = DRIVER.read_text(encoding="utf-8")
    return fingerprint(__version__, facts, here)


def trusted_message(verdict: CheckResult) -> str:
    """A sound verdict in a clause."""
    worst = verdict.worst_gradient
    return (
        f"{verdict.path} agrees with float64 on the CPU: worst gradient {percent(worst.error)} of "
        f"a bound of {percent(worst.bound)}"
        + ("" if verdict.repeats else "; the same step twice did not give the same bits")
    )


def untrusted_message(verdict: CheckResult) -> str:
    """What is wrong with a path, and the options of the nearest one that passes."""
    return f"{verdict.path} computes wrong on this machine: {verdict.fault}; {_remedy(verdict)}"


def _remedy(verdict: CheckResult) -> str:
    wrong = verdict.engine
    for row in INSTEAD:
        other = replace(wrong, compiled=False, **row)
        if other != wrong and check(other).sound:
            changed = [name for name in OPTIONS if getattr(other, name) != getattr(wrong, name)]
            return f"add {' '.join(OPTIONS[name] for name in changed)}, which passed"
    return "nothing else passed either: install torch anew, or test this machine's memory"
