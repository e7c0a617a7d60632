"""The content of a checkpoint: key by key as on disk, in the .pt and in the small .json beside it.

The keys of a saved state keep the words of the first version: `due` is the pending row of metrics,
`horizon` the learning-rate schedule, `waited` the evaluations without a better one, `lowered`
whether memory made the micro-batch smaller, `facts` the run's metadata.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict

from nielsgpt.config.settings import Phase
from nielsgpt.errors import DataError
from nielsgpt.system.atomic_files import read_json

if TYPE_CHECKING:
    from torch import Tensor  # what reads the small files alone starts without torch


class EvaluationFigures(TypedDict):
    """One source's validation loss, in nats per token and in bits per byte."""

    loss: float
    bits_per_byte: float


class Shape(TypedDict, total=False):
    """The model's settings and the tokenizer's fingerprint, compared field by field.

    Only the fields that are read by name stand here.
    """

    tokenizer: str
    context_length: int


class Numbers(TypedDict, total=False):
    """The settings that decide the mathematics, and the mix, compared field by field.

    Only the fields that are read by name stand here.
    """

    batch_size: int
    optimizer: str
    mix: dict[str, float]


class Facts(TypedDict, total=False):
    """A run's metadata as files hold it: without what is not known."""

    phase: Phase
    name: str
    shape: Shape
    origin: dict[str, str]
    validation: dict[str, str]
    numbers: Numbers
    seed: int
    max_steps: int
    run_id: str
    engine: dict[str, object]
    step: int
    tokens_seen: int
    best: float
    improved: bool
    evaluations: dict[str, EvaluationFigures]
    weights_sha256: str


class Entry(Facts, total=False):
    """The small file beside a checkpoint; `replaces` is the entry of the file before it."""

    bytes: int
    sha256: str
    replaces: "Entry"


class EvaluationColumns(TypedDict, total=False):
    """The columns of metrics.csv that an evaluation fills."""

    val_loss: float
    val_loss_raw: float
    val_loss_ema: float
    best_val_loss: float
    best_val_loss_raw: float
    best_val_loss_ema: float
    val_bits_per_byte: float


class MetricsRow(EvaluationColumns):
    """One step in metrics.csv. A step whose evaluation was not finished is saved with its row."""

    iter: int
    train_loss: float
    lr: float
    grad_norm: float
    tokens: int
    tokens_seen: int
    supervised_tokens: int
    micro_batch_size: int
    rate_scale: float
    skipped: str | None


class ScheduleState(TypedDict, total=False):
    """The learning-rate schedule; an older state has no `rising` and `risen`."""

    warmup: int
    start: int
    progress: float
    end: int
    rising: int
    risen: float


class SpikeGuardState(TypedDict):
    """The spike guard's memory of earlier steps."""

    seen: int
    skipped: int
    rate_scale: float
    rollbacks: int
    tried: int
    means: list[float]
    variances: list[float]


class GradScalerState(TypedDict):
    """The scale of the loss, and the steps since it last overflowed."""

    value: float
    calm: int


class EMAState(TypedDict):
    """The mean of the weights over the steps."""

    updates: int
    weights: dict[str, "Tensor"]


class PackedTokenizer(TypedDict):
    """A tokenizer: the bytes of its files as tensors."""

    kind: str
    files: dict[str, "Tensor"]


class State(TypedDict, total=False):
    """A checkpoint's content; an export has some of it alone."""

    format: int
    step: int
    drawn: int
    mixture: Any  # data.cache.loader.MixtureState, in a room on the same floor
    best: float
    best_raw: float
    waited: int
    weights: dict[str, "Tensor"]
    optimizer: list[dict[str, object]]
    average: EMAState | None
    guard: SpikeGuardState
    loss_scale: GradScalerState
    horizon: ScheduleState
    micro_batch_size: int
    lowered: bool
    seconds: float
    due: MetricsRow | None
    tokenizer: PackedTokenizer
    settings: dict[str, object]
    facts: Facts


@dataclass(frozen=True)
class RunMetadata:
    """The values that a resumed run is compared with, and the figures of one saved state.

    origin: the identity of each source's training split, and under "start" the sha256 of the
    starting weights. validation: the identity of each validation split; empty in files of earlier
    versions. engine: the execution config's values.
    """

    phase: Phase
    name: str
    shape: Shape = field(default_factory=Shape)
    origin: dict[str, str] = field(default_factory=dict)
    validation: dict[str, str] = field(default_factory=dict)
    numbers: Numbers = field(default_factory=Numbers)
    seed: int = 0
    max_steps: int = 0
    run_id: str = ""
    engine: dict[str, object] = field(default_factory=dict)
    step: int = 0
    tokens_seen: int | None = None
    best: float = math.inf
    improved: bool = False
    evaluations: dict[str, EvaluationFigures] = field(default_factory=dict)
    weights_sha256: str = ""

    def to_dict(self) -> Facts:
        """The same as plain values."""
        known: Any = {k: v for k, v in asdict(self).items() if v not in (None, "", {}, math.inf)}
        facts: Facts = known
        return facts

    @classmethod
    def from_dict(cls, facts: Facts) -> Self:
        """The metadata in a file of any version; unknown names are left out."""
        names = {one.name for one in fields(cls)}
        known: Any = {name: value for name, value in facts.items() if name in names}
        return cls(**known)


def read_small_file(path: Path) -> Entry:
    """The .json beside a checkpoint, not checked against the .pt; empty where gone or damaged."""
    with suppress(DataError):
        entry: Entry | None = read_json(path)
        return entry if isinstance(entry, dict) else {}
    return {}


def list_differences(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    """Field by field, what two flat dicts disagree about."""
    for key in sorted({*before, *now}):
        if before.get(key) != now.get(key):
            yield f"{key}: checkpoint {before.get(key)}, settings {now.get(key)}"
