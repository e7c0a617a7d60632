"""One file that can resume a run and chat by itself, and a small one beside it that vouches for it.

`step_0000500.pt` holds tensors and plain values; `step_0000500.json` its step, metrics, size and
sha256. The .json is written first and also remembers the file that it replaces, so that whatever
moment a process is killed at, the .pt on disk is one that its .json knows.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from nielsgpt.checkpoint.contents import Entry, RunMetadata, State
from nielsgpt.config.settings import Phase
from nielsgpt.errors import CheckpointError, DataError
from nielsgpt.system.atomic_files import (
    explain_unwritable,
    file_sha256,
    name_beside,
    read_json,
    sync_file,
    sync_folder,
    write_sealed,
)

log = logging.getLogger("nielsgpt")
FORMAT_VERSION = 1
_digests: dict[tuple[int, ...], str] = {}  # by what changes when a file does


def step_name(step: int) -> str:
    """The file of one step's state."""
    return f"step_{step:07d}.pt"


def save(path: Path, state: State) -> None:
    """Write the state atomically, and beside it its facts with the file's size and sha256."""
    with _beside(path) as beside:
        with beside.open("wb") as file:
            torch.save({"format": FORMAT_VERSION, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        own: Entry = {"bytes": beside.stat().st_size, "sha256": _digest(beside)}
        _place(beside, path, cast(Entry, {**state.get("facts", {}), **own}))


def share(path: Path, target: Path, entry: Entry) -> None:
    """Let `target` name the same state as `path`, without a second copy where links exist."""
    with _beside(target) as beside:
        try:
            os.link(path, beside)
        except OSError:
            shutil.copyfile(path, beside)
            sync_file(beside)
        _place(beside, target, entry)


def link_latest_and_best(path: Path, phase: Phase) -> None:
    """Let latest, and best if it improved, name a phase's state, where they do not yet.

    In its folder, and one level up unless the chat model of a later phase stands there. Also mends
    the names that a process killed in the middle of this left behind.
    """
    entry, folder = read_entry(path), path.parent
    later = entry_to_replace(folder.parent / "latest.pt").get("phase") == "sft" != phase
    for name in ("latest.pt", *(["best.pt"] if entry["improved"] else [])):
        for place in [folder] if later else [folder, folder.parent]:
            if entry_to_replace(place / name).get("sha256") != entry["sha256"]:
                share(path, place / name, entry)


def read_metadata(path: Path) -> RunMetadata | None:
    """The metadata of a checkpoint, which is not opened; None when its sha256 is not known."""
    entry = read_entry(path)
    return RunMetadata.from_dict(entry) if entry else None


def metadata_of(state: State) -> RunMetadata:
    """The metadata that a state holds."""
    return RunMetadata.from_dict(state["facts"])


def read_entry(path: Path) -> Entry:
    """The small file of a checkpoint; empty when it vouches for another file."""
    found: Entry | None = read_json(path.with_suffix(".json"))
    if not isinstance(found, dict) or not path.is_file():
        return {}
    entries: list[Entry] = [found, found.get("replaces", Entry())]
    digest = _digest(path)
    return next((entry for entry in entries if entry.get("sha256") == digest), Entry())


def entry_to_replace(path: Path) -> Entry:
    """The same for what is about to be written; empty where the small file is damaged too."""
    with suppress(DataError):
        return read_entry(path)
    return {}


def load(path: Path, *parts: str, lazy: bool = False) -> State:
    """The state of a checkpoint, tensors on the CPU; it has at least these `parts`, each a dict.

    Lazy: tensors are read from the disk when they are used.

    Raises CheckpointError when it is missing, truncated, changed since it was written, or no
    checkpoint of nielsgpt.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint {path}; name one that is there")
    beside = path.with_suffix(".json")
    vouched = beside != path and beside.exists()
    if vouched and not read_entry(path):
        raise CheckpointError(
            f"{path} is damaged: its sha256 is not the one in its .json; name another checkpoint"
        )
    if not vouched and (record := _raise_torn(path)):
        raise CheckpointError(
            f"{path} is damaged: the checksum of its {record} is wrong; name another checkpoint"
        )
    mapped = lazy and zipfile.is_zipfile(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's thoughts on foreign pickles
            loaded: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a foreign file fails in as many ways as there are files
        reason = describe(error)
        if reason.startswith("Weights only"):
            reason = "it holds more than tensors and plain values, and code is never run"
        raise CheckpointError(f"{path} is not a checkpoint that can be read ({reason})") from None
    if not isinstance(loaded, dict) or loaded.get("format") != FORMAT_VERSION:
        raise CheckpointError(f"{path} is not a nielsgpt checkpoint of format {FORMAT_VERSION}")
    for part in parts:
        if not isinstance(loaded.get(part), dict):
            raise CheckpointError(f"{path} has no {part}; name another checkpoint")
    return cast(State, loaded)


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints of a phase that a run may resume from, newest first."""
    return sorted(folder.glob("step_[0-9]*.pt"), key=_step_of, reverse=True)


def load_newest(folder: Path, lazy: bool = False) -> tuple[State, Path] | None:
    """The newest state that verifies, and its file; a line is logged for each that does not."""
    for path in newest_first(folder):
        if not path.with_suffix(".json").exists():
            continue
        try:
            return load(path, lazy=lazy), path
        except (CheckpointError, DataError) as error:
            log.warning("%s; continuing from the previous one", error)
    return None


def prune(folder: Path, keep: int, newest: Path) -> None:
    """Remove all but `keep` step files, `newest` and those before it; latest and best stay.

    Later files cannot be resumed from: they are neither counted nor removed.
    """
    steps = [path for path in newest_first(folder) if _step_of(path) <= _step_of(newest)]
    for path in steps[keep:]:
        path.unlink()
        path.with_suffix(".json").unlink(missing_ok=True)


def snapshot(value: Any) -> Any:
    """A state whose tensors are copies on the CPU: what happens to the model leaves it alone."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: snapshot(part) for key, part in value.items()}
    return [snapshot(part) for part in value] if isinstance(value, list | tuple) else value


def tensor_bytes(value: Any) -> int:
    """The bytes of a state's tensors."""
    if isinstance(value, Tensor):
        return value.nbytes
    parts = value.values() if isinstance(value, dict) else value
    return sum(map(tensor_bytes, parts)) if isinstance(value, dict | list | tuple) else 0


def kept_weights(state: State) -> dict[str, Tensor]:
    """The weights to use: the running mean where there is one, else the newest."""
    weights: dict[str, Tensor] = state["weights"]
    average = state.get("average")
    return {**weights, **average["weights"]} if average else weights


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """A name for the weights alone: equal for equal numbers, whenever they were saved."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        shape = json.dumps([name, str(tensor.dtype), list(tensor.shape)])
        digest.update(shape.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _step_of(path: Path) -> tuple[int, str]:
    number = path.stem.removeprefix("step_")
    return (int(number) if number.isdecimal() else -1), path.name


def describe(error: Exception) -> str:
    """The message of an error in one short line."""
    lines = str(error).strip().splitlines() or [""]
    told = lines[0] if len(lines[0]) > 8 else f"{type(error).__name__} {lines[0]}"
    return (told if len(lines) == 1 else f"{told.rstrip(':')}: {lines[1].strip()}").strip()[:160]


def _raise_torn(path: Path) -> str | None:
    """A record whose checksum is wrong: a .pt is a zip file, and torch.load does not look there."""
    if not zipfile.is_zipfile(path):
        return None  # torch explains what is wrong with it
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError):
        return "list of records"


def _digest(path: Path) -> str:
    """The file's sha256, read once: a save names one file five times."""
    facts = path.stat()
    key = facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
    if key not in _digests:
        _digests[key] = file_sha256(path)
    return _digests[key]


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, gone at the end if it was not renamed."""
    try:
        with name_beside(path) as name:
            yield name
    except RuntimeError as error:
        if "unexpected pos" not in str(error):
            raise
        # How torch reports that the disk was full.
        raise explain_unwritable(path, OSError(errno.ENOSPC, "disk full")) from error


def _place(beside: Path, path: Path, entry: Entry) -> None:
    """Rename a written file to its place, its .json first."""
    before = entry_to_replace(path)
    before.pop("replaces", None)
    write_sealed(path.with_suffix(".json"), {**entry, "replaces": before} if before else entry)
    beside.replace(path)
    sync_folder(path.parent)
