"""List the splits of the caches, and verify their checksums."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nielsgpt.data.cache import shards
from nielsgpt.data.cache.loader import count_windows, fill_rate, pack_rows
from nielsgpt.data.cache.shards import SplitMeta
from nielsgpt.errors import DataError

SUFFIX = ".meta.json"


@dataclass(frozen=True)
class SplitSummary:
    """One finished split: its meta, its size on disk and its time of completion."""

    phase: str
    meta: SplitMeta
    name: str
    disk_bytes: int
    modified_at: float
    utilization: float | None

    @property
    def side(self) -> str:
        """`train` or `val`."""
        return self.name.rpartition("_")[2]

    @property
    def left_out(self) -> int:
        """The number of replies that did not become examples."""
        return int(self.meta.get("replies_left_out", 0))


def list_splits(folders: Mapping[str, Path], context_length: int) -> Iterator[SplitSummary]:
    """Every split in the folders of the phases.

    `utilization` is, for text, the share of the tokens that an epoch's rows contain; for
    conversations, the share of the rows that is not padding; None if there are no rows.
    """
    for phase, folder in folders.items():
        for name in list_names(folder):
            meta = shards.read_meta(folder, name)
            if meta is not None:
                path = folder / f"{name}{SUFFIX}"
                disk_bytes = path.stat().st_size + sum(
                    e["bytes"] for e in shards.file_entries(meta)
                )
                utilization = _utilization(folder, meta, context_length)
                yield SplitSummary(phase, meta, name, disk_bytes, path.stat().st_mtime, utilization)


def list_names(folder: Path) -> list[str]:
    """The names of the finished splits in a folder."""
    return sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"[!.]*{SUFFIX}"))


def find_faults(folder: Path) -> Iterator[str]:
    """One line for each file in the folder that does not match its meta."""
    for name in list_names(folder):
        try:
            meta = shards.read_meta(folder, name)
        except DataError as error:
            yield str(error)
            continue
        if meta is not None:
            for file in shards.find_damaged(folder, meta):
                yield f"{file} is damaged: its sha256 differs from its meta; {shards.REMEDY}"


def _utilization(folder: Path, meta: SplitMeta, context_length: int) -> float | None:
    tokens = int(meta["tokens"])
    if "index" not in meta:
        if tokens <= context_length:
            return None
        return count_windows(tokens, context_length) * context_length / tokens
    starts = np.load(folder / meta["index"]["file"], allow_pickle=False)
    lengths = np.diff(np.append(starts, tokens))
    if not len(lengths) or lengths.max() > context_length + 1:
        return None
    return fill_rate(tokens, len(pack_rows(lengths, context_length + 1)), context_length)
