"""Which stages a change affects: one row per stage. Nothing is set aside unless asked.

    stage      made from                                      after a change
    tokenizer  the text of both mixes, its settings           stays once a model is begun with it
    caches     the sources, the tokenizer, the context        are built again
    pretrain   its caches, its numbers, its starting weights  stays finished, or continues
    sft        the same; it starts from pretraining's best    stays finished, or continues
    exam       SFT's best weights, its settings               is taken again

It reads the small files beside checkpoints, and opens no weights.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nielsgpt.checkpoint.contents import RunMetadata, list_differences, read_small_file
from nielsgpt.config.settings import PHASES, Phase
from nielsgpt.format import align_columns
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers import registry
from nielsgpt.training import run_log

# What `--rebuild` does again: the stage, and what cannot stand without it.
REBUILDS: dict[str, tuple[str, ...]] = {
    "tokenizer": ("tokenizer", "caches", "pretrain", "sft", "exam"),
    "caches": ("caches",),
    "pretrain": ("pretrain", "sft", "exam"),
    "sft": ("sft", "exam"),
    "exam": ("exam",),
    "mix": ("caches",),  # Minimal LM's names for the same
    "train": ("pretrain", "sft", "exam"),
    "all": ("tokenizer", "caches", "pretrain", "sft", "exam"),
}
START = ("init_from", "init_strict")  # told by the starting weights themselves


@dataclass(frozen=True)
class Stale:
    """A stage that stays although what it was made from changed."""

    stage: str
    changes: tuple[str, ...]


def newest_metadata(folder: Path) -> RunMetadata | None:
    """The metadata of a phase's newest state; None where the phase was never begun."""
    paths = folder.glob("step_[0-9]*.json")
    for path in sorted(paths, key=lambda path: (len(path.name), path.name), reverse=True):
        entry = read_small_file(path)
        if path.with_suffix(".pt").is_file() and "shape" in entry:
            return RunMetadata.from_dict(entry)
    return None


def begun(workspace: Workspace) -> dict[Phase, RunMetadata]:
    """The newest metadata of each phase that was begun or finished."""
    found = {phase: newest_metadata(workspace.checkpoints / phase) for phase in PHASES}
    return {phase: metadata for phase, metadata in found.items() if metadata is not None}


def data_changes(before: RunMetadata, now: RunMetadata) -> Iterator[str]:
    """Which sources a phase was trained on in another state, a few words each."""
    held_out = {**now.validation, **before.validation}  # earlier versions did not note it
    for name in sorted({*before.origin, *now.origin} - {"start"}):
        if name not in before.origin:
            yield f"{name} joined the mix"
        elif name not in now.origin:
            yield f"{name} left the mix"
        elif (before.origin[name], held_out[name]) != (now.origin[name], now.validation[name]):
            yield f"source {name}"


def changes(before: RunMetadata, now: RunMetadata) -> tuple[str, ...]:
    """The data and settings that changed since a phase was trained, a few words each."""
    start = before.origin.get("start") != now.origin.get("start")
    old, new = (
        {name: value for name, value in metadata.numbers.items() if name not in START}
        for metadata in (before, now)
    )
    return (
        *data_changes(before, now),
        *(["the starting weights"] if start else []),
        *list_differences(old, new),
    )


def tokenizer_changes(workspace: Workspace) -> tuple[str, ...]:
    """Which settings of a begun model's tokenizer are different now."""
    asked = workspace.settings.tokenizer.model_dump(mode="json")
    metadata = next(iter(begun(workspace).values()), None)
    if metadata is None:
        return ()
    before: Any = (registry.read_meta(workspace.tokenizer) or {}).get("settings")
    if before is None:  # an earlier version noted them with the run alone
        before = run_log.read_settings(workspace.runs / metadata.run_id).get("tokenizer")
    if before is None or before == asked:
        return ()
    return tuple(list_differences(before, asked))


def minutes_again(workspace: Workspace, stages: Iterable[str]) -> float | None:
    """How long it takes to train these stages again, by what their runs recorded; None where one
    of them recorded nothing."""
    total = 0.0
    for phase, metadata in begun(workspace).items():
        if phase not in stages:
            continue
        run = run_log.read_meta(workspace.runs / metadata.run_id)
        if not run.get("seconds") or not run.get("steps"):
            return None
        phase_settings = workspace.settings.phase(phase)
        whole = run["seconds"] / 60 * max(1, phase_settings.max_steps / run["steps"])
        total += whole if phase_settings.minutes is None else phase_settings.minutes
    return total


def table(workspace: Workspace, found: Iterable[Stale]) -> str:
    """A row for each change: what it touches, what training that again costs, and how to ask."""
    rows = [("changed", "touches", "training again", "done by")]
    for stale in found:
        again = REBUILDS[stale.stage]
        minutes = minutes_again(workspace, again)
        cost = "unknown" if minutes is None else f"{math.ceil(minutes)} min"
        for change in stale.changes:
            way = f"--rebuild {stale.stage}"
            rows.append((f"{stale.stage}: {change}", ", ".join(again), cost, way))
    return align_columns(rows)
