"""The record of a run: lines on the terminal, and run_meta.json."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import torch

import nielsgpt
from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.checkpoint.contents import RunMetadata, State, list_differences
from nielsgpt.config.settings import Phase
from nielsgpt.model.gpt import flops_per_token, parameter_count
from nielsgpt.system import launcher, machine
from nielsgpt.system.atomic_files import read_json, write_sealed
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.training import memory_estimate, run_log, staleness
from nielsgpt.training.run import TrainingRun
from nielsgpt.training.run_log import RunMeta
from nielsgpt.training.trainer import Trainer

log = logging.getLogger("nielsgpt")


def describe(trainer: Trainer, metadata: RunMetadata) -> RunMeta:
    """The content of run_meta.json when a run begins or resumes."""
    numbers, shape = trainer.phase, trainer.model.shape
    own: RunMeta = {
        "arch": shape.variant,
        "device": trainer.execution.device,
        "train_config": numbers.model_dump(),
        "model_config": shape.model_dump(),
        "params": parameter_count(trainer.model),
        "flops_per_token": flops_per_token(trainer.model),
        "tokens_per_step": numbers.batch_size * shape.context_length,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": {**machine.facts(), "torch": str(torch.__version__), "gpu": gpu(trainer)},
        "command": launcher.typed_command(),
        "version": nielsgpt.__version__,
        "outcome": "running",
    }
    return cast(RunMeta, {**metadata.to_dict(), **own})


def gpu(trainer: Trainer) -> str | None:
    """The name of the GPU that computes, if one does."""
    if not trainer.execution.device.startswith("cuda"):
        return None
    return str(torch.cuda.get_device_name(trainer.execution.device))


def close_run(folder: Path, trainer: Trainer, outcome: str) -> None:
    """Note in run_meta.json how the run ended and how long it took."""
    path = folder / run_log.META
    meta: RunMeta = read_json(path) or RunMeta()
    meta["outcome"] = outcome
    meta["ended_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    meta["seconds"] = round(trainer.seconds, 1)
    meta["steps"] = trainer.step
    meta["memory"] = {
        "forecast_bytes": memory_estimate.of_trainer(trainer).bytes,
        "peak_bytes": memory_estimate.peak_bytes(trainer.execution.device),
    }
    meta["tokens_seen"] = trainer.tokens_seen
    write_sealed(path, meta)


def log_start(trainer: Trainer, phase: Phase, folder: Path) -> None:
    """Log the model, the execution config, the steps and the folder of the run."""
    numbers = trainer.phase
    steps = f"{numbers.max_steps} steps"
    if numbers.minutes is not None:
        steps = f"the steps of {numbers.minutes:g} minutes"
    log.info(
        "%s: %.1fM parameters on %s x %d accumulated = batches of %d, activation checkpointing %s; "
        "%s %s of %d x %d tokens; log in %s",
        phase,
        parameter_count(trainer.model) / 1e6,
        trainer.execution,
        -(-numbers.batch_size // trainer.execution.micro_batch_size),
        numbers.batch_size,
        "on" if numbers.activation_checkpointing else "off",
        f"from step {trainer.step} of" if trainer.step else "all",
        steps,
        numbers.batch_size,
        trainer.model.context_length,
        folder,
    )
    if trainer.execution.device == "cpu":
        needed, there = memory_estimate.of_trainer(trainer).bytes, machine.memory_bytes()
        log.info("%s: needs about %.1f GiB of %.1f GiB", phase, needed / 2**30, there / 2**30)
    if trainer.execution.compiled:
        log.info("%s: compiling the model first, up to a minute", phase)


def log_changes(run: TrainingRun, state: State, is_complete: bool) -> bool:
    """Log what data, weights or settings changed since the phase was trained; true if any did."""
    before = checkpoint_file.metadata_of(state)
    changed = "; ".join(staleness.changes(before, run.metadata))
    if changed:
        log.warning(
            "%s: %s at step %d, changed since: %s; 'nielsgpt %s --no-resume' trains again and "
            "keeps the earlier model aside",
            run.phase,
            "finished and kept" if is_complete else "continuing",
            state["step"],
            changed,
            run.phase,
        )
    return bool(changed)


def log_changed_execution(before: Mapping[str, object], execution: ExecutionConfig) -> None:
    """Warn where this machine computes in another way than the run did so far."""
    changed = list(list_differences(before, execution.facts()))
    if changed:
        log.warning(
            "results will not be bit-identical to an uninterrupted run: execution settings "
            "changed: %s",
            "; ".join(changed),
        )
