"""The execution config of a measurement: by rule, at the precision that is fastest here."""

from collections.abc import Mapping
from dataclasses import replace

from nielsgpt.config.settings import ModelSettings
from nielsgpt.experiments.grid import Configuration
from nielsgpt.system.device import ExecutionConfig, apply_execution, choose_device
from nielsgpt.system.workspace import Workspace
from nielsgpt.training import autotune


def execution_of_configuration(
    workspace: Workspace, configuration: Configuration
) -> ExecutionConfig:
    """The execution config of a grid's configuration, in micro-batches of one row."""
    over = {name: getattr(configuration, name) for name in ("precision", "compile")}
    over = {name: value for name, value in over.items() if value != "auto"}
    size = workspace.settings.tokenizer.vocab_size
    return execution_of_shape(workspace, configuration.shape, 1, size, over)


def execution_of_shape(
    workspace: Workspace,
    shape: ModelSettings,
    rows: int,
    vocab_size: int,
    over: Mapping[str, str] | None = None,
) -> ExecutionConfig:
    """The execution config for a shape and rows a step; `over` overrides the device's settings.

    Precision and attention that the settings leave open are those that autotuning found fastest
    for the settings' own model.
    """
    settings = workspace.settings.device.model_copy(update=dict(over or {}))
    device, phase = choose_device(settings.device), workspace.settings.training.pretrain
    uncompiled = settings.model_copy(update={"compile": "off"})
    own = autotune.TuningKey(uncompiled, workspace.settings.model, vocab_size, phase)
    best = autotune.choose_execution(own)
    apply_execution(device, best.threads)
    phase = phase.model_copy(update={"batch_size": rows, "micro_batch_size": 0})
    key = autotune.TuningKey(settings, shape, vocab_size, phase)
    attention = best.attention if shape.attention == "auto" else shape.attention
    default = autotune.default_execution(key, device)
    return replace(default, precision=best.precision, attention=attention)


def execution_elsewhere(
    workspace: Workspace, device: str, shape: ModelSettings, rows: int, vocab_size: int
) -> ExecutionConfig:
    """The execution config by rule for a device that is not on this machine."""
    settings, phase = workspace.settings.device, workspace.settings.training.pretrain
    over = {"compile": "off"}
    if settings.precision == "auto":
        over["precision"] = "bf16" if device.startswith("cuda") else "fp32"
    phase = phase.model_copy(update={"batch_size": rows, "micro_batch_size": 0})
    key = autotune.TuningKey(settings.model_copy(update=over), shape, vocab_size, phase)
    return autotune.default_execution(key, device)
