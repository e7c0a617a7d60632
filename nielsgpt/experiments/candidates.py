"""Candidates of a plan: model shapes around the settings' own, each with several batch sizes."""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from nielsgpt.config import load
from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.training.lr_schedule import COOLED

SIZES = ((0.5, 0.67), (1.0, 1.0), (1.5, 1.34))  # times the width, times the depth
BATCH_FACTORS = (0.25, 0.5, 1.0, 2.0)  # times the settings' batch size
COOLDOWN = 0.6  # of the steps, if the settings' schedule is not a trapezoid
MAX_WARMUP = 0.05  # of the steps
MIN_RATE_FACTOR, MAX_RATE_FACTOR = 0.5, 2.0  # of a batch size on the learning rate
KEPT = ("context_length", "dropout", "rope_theta", "tied", "attention")  # of the settings' model


@dataclass(frozen=True)
class Candidate:
    """A model shape and the rows of a step."""

    shape: ModelSettings
    batch_size: int

    def __str__(self) -> str:
        return f"{self.shape.n_layer} x {self.shape.n_embd}, batch {self.batch_size}"

    @property
    def batch_tokens(self) -> int:
        """The tokens of a step."""
        return self.batch_size * self.shape.context_length


def list_candidates(
    settings: Settings, shapes: Sequence[ModelSettings] = (), batch_sizes: Sequence[int] = ()
) -> list[Candidate]:
    """Each shape with each batch size; without any, those around the settings' own."""
    own = settings.training.pretrain.batch_size
    shapes = list(shapes) or [_scale(settings.model, *size) for size in SIZES]
    batch_sizes = list(batch_sizes) or sorted({max(1, round(f * own)) for f in BATCH_FACTORS})
    return [Candidate(shape, size) for shape in dict.fromkeys(shapes) for size in batch_sizes]


def select_bench_shapes(
    rows: Iterable[dict[str, Any]], settings: Settings, vocab_size: int
) -> list[ModelSettings]:
    """The smallest, middle and largest shape that ran in a bench, and the settings' own.

    Only rows with the settings' context length and this vocabulary size count; empty without any.
    """
    params: dict[ModelSettings, int] = {}
    for row in rows:
        job = row["job"]
        same_vocabulary = job.get("vocab_size") == vocab_size
        if row["status"] == "ok" and same_vocabulary and row.get("params"):
            with suppress(ValidationError):  # from a version with other settings
                shape = adopt_shape(settings.model, ModelSettings.model_validate(job["shape"]))
                if job["shape"]["context_length"] == shape.context_length:
                    params[shape] = row["params"]
    by_size = sorted(params, key=lambda shape: params[shape])
    if not by_size:
        return []
    selected = [by_size[0], by_size[len(by_size) // 2], by_size[-1], settings.model]
    return list(dict.fromkeys(selected))


def adopt_shape(own: ModelSettings, other: ModelSettings) -> ModelSettings:
    """The variant, depth and width of `other` with everything else from `own`."""
    return other.model_copy(update={name: getattr(own, name) for name in KEPT})


def resolve_settings(
    settings: Settings,
    candidate: Candidate,
    execution: ExecutionConfig,
    steps: int,
    unique_tokens: float = math.inf,
) -> Settings:
    """The settings that train a candidate for this many steps, with the cooldown at their end.

    Learning rates scale with the square root of the batch size (Malladi et al. 2022), within
    bounds. Evaluations and checkpoints keep their distance in tokens. A corpus of `unique_tokens`
    that repeats is evaluated once an epoch if that is more often and costs at most a tenth of the
    training, because a model that overfits is best some time before its end.
    """
    own, batch_size = settings.training.pretrain, candidate.batch_size
    factor = math.sqrt(batch_size / own.batch_size)
    factor = min(max(factor, MIN_RATE_FACTOR), MAX_RATE_FACTOR)
    relative_steps = own.batch_size / batch_size  # for the same tokens
    learning_rate = own.learning_rate * factor
    eval_batches = max(1, round(own.eval_batches * relative_steps))
    epoch_steps = max(eval_batches, unique_tokens / candidate.batch_tokens)
    warmup_steps = max(1, round(own.warmup_steps * relative_steps))
    phase = {
        "batch_size": batch_size,
        "micro_batch_size": execution.micro_batch_size,
        "max_steps": steps,
        "minutes": None,
        "learning_rate": learning_rate,
        "muon_learning_rate": own.muon_learning_rate * factor,
        "min_learning_rate": min(own.min_learning_rate * factor, COOLED * learning_rate),
        "schedule": "trapezoid",
        "cooldown_fraction": own.cooldown_fraction if own.schedule == "trapezoid" else COOLDOWN,
        "warmup_steps": min(warmup_steps, max(1, int(MAX_WARMUP * steps))),
        "eval_every": max(1, round(min(own.eval_every * relative_steps, epoch_steps))),
        "eval_batches": eval_batches,
        "checkpoint_every": max(1, round(own.checkpoint_every * relative_steps)),
    }
    overrides = {
        "model": {**candidate.shape.model_dump(mode="json"), "attention": execution.attention},
        "training": {"pretrain": phase},
        "device": {
            "precision": execution.precision,
            "compile": "on" if execution.compiled else "off",
            "measure": False,
        },
    }
    return load.override(settings, overrides, "the plan")


def _scale(own: ModelSettings, width: float, depth: float) -> ModelSettings:
    """The settings' model with its width and depth scaled, and heads of the same size."""
    n_head = max(1, round(own.n_head * width))
    size = {
        "n_head": n_head,
        "n_embd": n_head * (own.n_embd // own.n_head),
        "n_layer": max(1, round(own.n_layer * depth)),
    }
    if own.d_ff is not None:
        size["d_ff"] = max(1, round(own.d_ff * size["n_embd"] / own.n_embd))
    return own.model_copy(update=size)
