"""Trust: each execution config is checked once on a machine, and refused if it is wrong."""

import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nielsgpt import __version__
from nielsgpt.doctor.check import CheckResult, check, format_percent
from nielsgpt.errors import EngineError
from nielsgpt.system import machine
from nielsgpt.system.atomic_files import fingerprint
from nielsgpt.system.device import ExecutionConfig

log = logging.getLogger("nielsgpt")
DRIVER = Path("/proc/driver/nvidia/version")
# Alternatives to a config that is wrong, uncompiled, the most similar first: fields to replace.
ALTERNATIVES: tuple[dict[str, Any], ...] = (
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
    """Check this config, unless it already passed on this machine with this torch and nielsgpt.

    A compiled config is checked uncompiled first, to tell a wrong kernel from a wrong compiler.
    On two cores of a Xeon the first check took 0.4 s, and 14 s more to compile the tiny model.
    Raises EngineError with the fault and the options of a config that passes.
    """
    key = identify(execution)
    if machine.recall("trust", key) is not None:
        return
    result = check(replace(execution, compiled=False))
    if result.is_correct and execution.compiled:
        log.info("doctor: checking %s compiled, once on this machine", result.label)
        result = check(execution)
    if not result.is_correct:
        raise EngineError(describe_fault(result))
    log.info("doctor: %s", describe_pass(result))
    machine.remember("trust", key, describe_pass(result))


def identify(execution: ExecutionConfig) -> str:
    """A fingerprint of this config on this machine; it changes with everything that computes."""
    config = {name: v for name, v in execution.facts().items() if name != "micro_batch_size"}
    here = machine.facts()
    hardware = {"processor": here["processor"], "system": here["system"]}
    if execution.device.startswith("cuda"):
        hardware["gpu"] = torch.cuda.get_device_name(execution.device)
        with suppress(OSError):
            hardware["driver"] = DRIVER.read_text(encoding="utf-8")
    return fingerprint(__version__, config, hardware)


def describe_pass(result: CheckResult) -> str:
    """A passed check as a clause."""
    worst = result.worst_gradient
    return (
        f"{result.label} agrees with float64 on the CPU: worst gradient "
        f"{format_percent(worst.error)}, bound {format_percent(worst.bound)}"
        + ("" if result.is_deterministic else "; repeating a step did not give the same bits")
    )


def describe_fault(result: CheckResult) -> str:
    """A failed check as one line, with the options of the most similar config that passes."""
    fault, remedy = result.fault, _find_remedy(result.execution)
    return f"{result.label} gives wrong results on this machine: {fault}; {remedy}"


def _find_remedy(wrong: ExecutionConfig) -> str:
    for fields in ALTERNATIVES:
        other = replace(wrong, compiled=False, **fields)
        if other != wrong and check(other).is_correct:
            changed = [name for name in OPTIONS if getattr(other, name) != getattr(wrong, name)]
            return f"add {' '.join(OPTIONS[name] for name in changed)}, which passed"
    return "no alternative passed either: reinstall torch, or test this machine's memory"
