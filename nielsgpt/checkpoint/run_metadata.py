"""The origin and the progress of a phase: the `facts` of a checkpoint and of its .json."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from nielsgpt.config.settings import Phase


@dataclass(frozen=True)
class RunMetadata:
    """The values that a resumed run is compared with, and the figures of one saved state.

    shape: the model's settings and the tokenizer's fingerprint. origin: the identity of each
    source's training split, and under "start" the sha256 of the starting weights. validation: the
    identity of each validation split; empty in files of earlier versions. numbers: the settings
    that decide the mathematics, and the mix. engine: the execution config's values.
    """

    phase: Phase
    name: str
    shape: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    max_steps: int = 0
    run_id: str = ""
    engine: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    tokens_seen: int | None = None
    best: float = math.inf
    improved: bool = False
    evaluations: dict[str, Any] = field(default_factory=dict)
    weights_sha256: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, as files hold it: without what is not known."""
        return {k: v for k, v in asdict(self).items() if v not in (None, "", {}, math.inf)}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """The metadata in a file of any version; unknown names are left out."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in facts.items() if name in known})
