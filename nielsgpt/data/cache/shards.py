"""One split of one source on disk: ids and, for SFT, a loss mask and the example starts.

    primer_train.bin        little-endian uint16 ids (uint32 above 65,536 ids)
    primer_train.mask.bin   SFT: one byte per id, 1 where it counts in the loss
    primer_train.idx.npy    SFT: int64 position of each example's first id
    primer_train.meta.json  written last: provenance, size and sha256 of every file

Above `shard_bytes` the ids are split into primer_train-00000-of-00003.bin and so on.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from nielsgpt.data.cache.append_file import part_path
from nielsgpt.errors import DataError
from nielsgpt.system.atomic_files import file_sha256, fingerprint, read_json, remove_meta

FORMAT_VERSION = 1
SPLITS = ("train", "val")
REMEDY = "delete the folder and run 'nielsgpt caches'"


class FileEntry(TypedDict):
    """A file of a split."""

    file: str
    bytes: int
    sha256: str


class SplitMeta(TypedDict, total=False):
    """The .meta.json of a split; those from `mask` to `conversations_dropped` are for SFT alone."""

    format: int
    token_dtype: str
    tokens: int
    documents: int
    text_bytes: int
    shards: list[FileEntry]
    source: str
    inputs: str
    tokenizer: str
    vocab_size: int
    seed: int
    split_rule: str
    shard_bytes: int
    context_length: int
    revision: str
    found: dict[str, int]
    mask: FileEntry
    index: FileEntry
    replies: int
    replies_left_out: int
    conversations_dropped: int


def token_dtype(vocab_size: int) -> str:
    """The on-disk dtype of ids below `vocab_size`."""
    return "<u2" if vocab_size <= 65_536 else "<u4"


def hide_files(folder: Path, name: str) -> None:
    """Rename the files of an unfinished split back to their hidden names."""
    remove_meta(folder / f"{name}.meta.json")
    for file in list_files(folder, name):
        whole = re.sub(r"(-\d{5})-of-\d{5}\.bin$", r"\1", file.name)
        first = f"{name}-00000" if whole == f"{name}.bin" else whole
        file.replace(part_path(folder / first))


def read_meta(folder: Path, name: str) -> SplitMeta | None:
    """The meta of a split, or None if the split is unfinished.

    Raises DataError for another format version, or if a file's size differs from the meta.
    """
    path = folder / f"{name}.meta.json"
    meta: SplitMeta | None = read_json(path)
    if meta is None:
        return None
    if not isinstance(meta, dict) or meta.get("format") != FORMAT_VERSION:
        raise DataError(f"{path} is not in cache format {FORMAT_VERSION}; {REMEDY}")
    for entry in file_entries(meta):
        file = folder / entry["file"]
        size = file.stat().st_size if file.is_file() else None
        if size != entry["bytes"]:
            raise DataError(
                f"{file} has {'no' if size is None else size} bytes but its meta says "
                f"{entry['bytes']}; {REMEDY}"
            )
    return meta


def remove_split(folder: Path, name: str) -> None:
    """Remove a split, its meta first, so that no meta ever names the files of another build."""
    remove_meta(folder / f"{name}.meta.json")
    parts = (f".{name}-[0-9]*.part", f".{name}.mask.bin.part", f".{name}.idx.npy.part")
    for file in [*list_files(folder, name), *(f for part in parts for f in folder.glob(part))]:
        file.unlink()


def find_damaged(folder: Path, meta: SplitMeta) -> Iterator[Path]:
    """The files of a split whose sha256 differs from the meta."""
    for entry in file_entries(meta):
        if file_sha256(folder / entry["file"]) != entry["sha256"]:
            yield folder / entry["file"]


class Split:
    """A finished split, memory-mapped. Every checksum is read before the first id is used."""

    def __init__(self, folder: Path, name: str, tokenizer_fingerprint: str) -> None:
        meta = read_meta(folder, name)
        if meta is None:
            raise DataError(f"no cache {folder / name}; make it with 'nielsgpt caches'")
        if meta["tokenizer"] != tokenizer_fingerprint:
            raise DataError(
                f"cache {folder / name} was made with tokenizer {meta['tokenizer']}, and this "
                f"run's is {tokenizer_fingerprint}; run 'nielsgpt caches'"
            )
        for file in find_damaged(folder, meta):
            raise DataError(f"{file} is damaged: its sha256 differs from its meta; {REMEDY}")
        self.meta, self.name = meta, name
        dtype = np.dtype({"uint16-le": "<u2", "uint32-le": "<u4"}[meta["token_dtype"]])
        self._shards = [_map_file(folder / entry["file"], dtype) for entry in meta["shards"]]
        self._ends = np.cumsum([len(shard) for shard in self._shards])
        self.mask: NDArray[np.uint8] | None = None
        self.starts: NDArray[np.int64] | None = None
        if "mask" in meta:
            self.mask = _map_file(folder / meta["mask"]["file"], np.dtype(np.uint8))
            self.starts = np.load(folder / meta["index"]["file"], allow_pickle=False)

    @property
    def tokens(self) -> int:
        """The number of ids."""
        return int(self.meta["tokens"])

    def read(self, start: int, count: int) -> NDArray[np.int64]:
        """(count,) ids from `start` on, across shards."""
        chunks = []
        shard = int(np.searchsorted(self._ends, start, side="right"))
        while count > 0:
            begin = start - (int(self._ends[shard - 1]) if shard else 0)
            chunk = self._shards[shard][begin : begin + count].astype(np.int64)
            chunks.append(chunk)
            start, count, shard = start + len(chunk), count - len(chunk), shard + 1
        return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def split_fingerprint(meta: SplitMeta) -> str:
    """A fingerprint of a split's content: equal for equal files."""
    return fingerprint([entry["sha256"] for entry in file_entries(meta)])


def list_files(folder: Path, name: str) -> list[Path]:
    """The visible files of a split, except its meta."""
    names = (f"{name}.bin", f"{name}-*-of-*.bin", f"{name}.mask.bin", f"{name}.idx.npy")
    return [file for pattern in names for file in folder.glob(pattern)]


def file_entries(meta: SplitMeta) -> list[FileEntry]:
    """Name, size and sha256 of each file of a split, except its meta."""
    own = [meta["mask"], meta["index"]] if "mask" in meta else []
    return [*meta["shards"], *own]


def _map_file(path: Path, dtype: "np.dtype[Any]") -> NDArray[Any]:
    # A plain array over the mapping: slicing np.memmap itself is ten times slower.
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))
