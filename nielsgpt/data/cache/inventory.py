"""What caches hold: a line for each split, and the checksums read again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nielsgpt.data.cache import shards
from nielsgpt.data.cache.loader import fill, pack, window_count
from nielsgpt.errors import DataError

SUFFIX = ".meta.json"


@dataclass(frozen=True)
class SplitSummary:
    """One finished split: its meta, what it takes on disk, and when it was finished."""

    phase: str
    meta: Mapping[str, Any]
    name: str
    disk_bytes: int
    made_at: float
    use: float | None

    @property
    def side(self) -> str:
        """train or val."""
        return self.name.rpartition("_")[2]

    @property
    def left_out(self) -> int:
        """Replies of the source that became no example."""
        return int(self.meta.get("replies_left_out", 0))


def list_splits(folders: Mapping[str, Path], context_length: int) -> Iterator[SplitSummary]:
    """Every split of the folders, by phase.

    `use` is, for text, the share of the tokens that an epoch's rows of this context hold, and for
    conversations the share of the rows' places that hold a token; None where there are no rows.
    """
    for phase, folder in folders.items():
        for name in names(folder):
            meta = shards.read_meta(folder, name)
            if meta is not None:
                path = folder / f"{name}{SUFFIX}"
                held = path.stat().st_size + sum(e["bytes"] for e in shards.entries(meta))
                use = _use(folder, meta, context_length)
                yield SplitSummary(phase, meta, name, held, path.stat().st_mtime, use)


def names(folder: Path) -> list[str]:
    """The finished splits of a folder."""
    return sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"[!.]*{SUFFIX}"))


def faults(folder: Path) -> Iterator[str]:
    """A line for each file of the folder's splits that is not what its meta says."""
    for name in names(folder):
        try:
            meta = shards.read_meta(folder, name)
        except DataError as error:
            yield str(error)
            continue
        if meta is not None:
            for file in shards.damaged(folder, meta):
                yield f"{file} is damaged: its sha256 is not the meta's; {shards.HINT}"


def _use(folder: Path, meta: Mapping[str, Any], context_length: int) -> float | None:
    tokens = int(meta["tokens"])
    if "index" not in meta:
        if tokens <= context_length:
            return None
        return window_count(tokens, context_length) * context_length / tokens
    starts = np.load(folder / meta["index"]["file"], allow_pickle=False)
    lengths = np.diff(np.append(starts, tokens))
    if not len(lengths) or lengths.max() > context_length + 1:
        return None
    return fill(tokens, len(pack(lengths, context_length + 1)), context_length)
