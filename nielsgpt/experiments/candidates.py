"""What may be trained in the time: shapes around the settings' own, each in several batches."""

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
BATCHES = (0.25, 0.5, 1.0, 2.0)  # times the settings' own
COOLDOWN = 0.6  # of the steps, where the settings' schedule is no trapezoid
WARMUP = 0.05  # of the steps at most
RATES = 0.5, 2.0  # bounds of what the batch may do to the learning rate
KEPT = ("context_length", "dropout", "rope_theta", "tied", "attention")  # of the settings' model


@dataclass(frozen=True)
class Candidate:
    """A shape and the rows of a step."""

    shape: ModelSettings
    batch_size: int

    def __str__(self) -> str:
        return f"{self.shape.n_layer} x {self.shape.n_embd}, batch {self.batch_size}"


def candidates_around(
    settings: Settings, shapes: Sequence[ModelSettings] = (), batches: Sequence[int] = ()
) -> list[Candidate]:
    """Each shape in each batch: those given, else those around the settings' own."""
    own = settings.training.pretrain.batch_size
    shapes = list(shapes) or [_scale(settings.model, *size) for size in SIZES]
    batches = list(batches) or sorted({max(1, round(times * own)) for times in BATCHES})
    return [Candidate(shape, batch) for shape in dict.fromkeys(shapes) for batch in batches]


def from_bench(
    rows: Iterable[dict[str, Any]], settings: Settings, vocab_size: int
) -> list[ModelSettings]:
    """The smallest, the middle and the largest shape that a bench ran with this context and this
    vocabulary, as models of these settings, beside their own; nothing where there was none."""
    found: dict[ModelSettings, int] = {}
    for row in rows:
        job = row["job"]
        same = job.get("vocab_size") == vocab_size
        if row["status"] == "ok" and same and row.get("params"):
            with suppress(ValidationError):  # of a version that had other settings
                shape = with_shape(settings.model, ModelSettings.model_validate(job["shape"]))
                if job["shape"]["context_length"] == shape.context_length:
                    found[shape] = row["params"]
    order = sorted(found, key=lambda shape: found[shape])
    if not order:
        return []
    chosen = [order[0], order[len(order) // 2], order[-1], settings.model]
    return list(dict.fromkeys(chosen))


def with_shape(own: ModelSettings, other: ModelSettings) -> ModelSettings:
    """The other's variant, depth and width with what the settings' own model keeps."""
    return other.model_copy(update={name: getattr(own, name) for name in KEPT})


def resolve_settings(
    settings: Settings,
    candidate: Candidate,
    execution: ExecutionConfig,
    steps: int,
    corpus: float = math.inf,
) -> Settings:
    """The settings that train a candidate in so many steps on so many tokens, cooled at the end.

    The rates go with the square root of the batch (Malladi et al. 2022), within bounds;
    evaluations and saves come after as many tokens as the settings ask for, on as many rows. A
    corpus that is read again is evaluated once a reading, where that is oftener and costs no more
    than a tenth: what is learnt by heart is best some time before the end.
    """
    own, batch = settings.training.pretrain, candidate.batch_size
    ratio = min(max(math.sqrt(batch / own.batch_size), RATES[0]), RATES[1])
    often = own.batch_size / batch
    rate = own.learning_rate * ratio
    evaluated = max(1, round(own.eval_batches * often))
    reading = max(evaluated, corpus / (batch * candidate.shape.context_length))
    phase = {
        "batch_size": batch,
        "micro_batch_size": execution.micro_batch_size,
        "max_steps": steps,
        "minutes": None,
        "learning_rate": rate,
        "muon_learning_rate": own.muon_learning_rate * ratio,
        "min_learning_rate": min(own.min_learning_rate * ratio, COOLED * rate),
        "schedule": "trapezoid",
        "cooldown_fraction": own.cooldown_fraction if own.schedule == "trapezoid" else COOLDOWN,
        "warmup_steps": min(max(1, round(own.warmup_steps * often)), max(1, int(WARMUP * steps))),
        "eval_every": max(1, round(min(own.eval_every * often, reading))),
        "eval_batches": evaluated,
        "checkpoint_every": max(1, round(own.checkpoint_every * often)),
    }
    over = {
        "model": {**candidate.shape.model_dump(mode="json"), "attention": execution.attention},
        "training": {"pretrain": phase},
        "device": {
            "precision": execution.precision,
            "compile": "on" if execution.compiled else "off",
            "measure": False,
        },
    }
    return load.override(settings, over, "the plan")


def _scale(own: ModelSettings, width: float, depth: float) -> ModelSettings:
    """The settings' model, wider and deeper, with heads as wide as they are."""
    heads = max(1, round(own.n_head * width))
    size = {
        "n_head": heads,
        "n_embd": heads * (own.n_embd // own.n_head),
        "n_layer": max(1, round(own.n_layer * depth)),
    }
    if own.d_ff is not None:
        size["d_ff"] = max(1, round(own.d_ff * size["n_embd"] / own.n_embd))
    return own.model_copy(update=size)
