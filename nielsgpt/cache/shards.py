"""One split of one source on disk: ids, for SFT also a loss mask and where examples start.

    primer_train.bin        little-endian uint16 ids (uint32 above 65,536 ids)
    primer_train.mask.bin   SFT: one byte an id, 1 where the loss counts
    primer_train.idx.npy    SFT: int64 position of each example's first id
    primer_train.meta.json  written last: what it was made from, sizes and sha256 of every file

Above `shard_bytes` the ids are split into primer_train-00000-of-00003.bin and so on.
"""

import io
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from nielsgpt.errors import DataError
from nielsgpt.workspace import (
    file_sha256,
    fingerprint,
    read_json,
    sync_folder,
    unwritable,
    write_json,
)

FORMAT_VERSION = 1
Ids = NDArray[np.unsignedinteger[Any]]
HINT = "delete the folder and run 'nielsgpt caches'"


def token_dtype(vocab_size: int) -> str:
    """The dtype on disk of ids below `vocab_size`."""
    return "<u2" if vocab_size <= 65_536 else "<u4"


class SplitWriter:
    """Writes one split; nothing of it is visible under its name before `finish`."""

    def __init__(
        self, folder: Path, name: str, vocab_size: int, shard_bytes: int, masked: bool
    ) -> None:
        self.folder, self.name, self.masked = folder, name, masked
        self.dtype = np.dtype(token_dtype(vocab_size))
        self.shard_tokens = max(1, shard_bytes // self.dtype.itemsize)
        self.tokens, self.samples, self.text_bytes = 0, 0, 0
        self._starts: list[int] = []
        self._parts: list[IO[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._mask = self._open("mask") if masked else None

    def add(self, ids: Sequence[int], mask: Sequence[bool] | None, text_bytes: int) -> None:
        """Append one document or one example."""
        assert (mask is not None) == self.masked
        self._starts.append(self.tokens)
        array = np.array(ids, dtype=self.dtype)
        if self._mask is not None:
            self._write(self._mask, np.array(mask, dtype=np.uint8).tobytes())
        while len(array):
            room = self.shard_tokens - self.tokens % self.shard_tokens
            if room == self.shard_tokens:
                self._parts.append(self._open(f"{len(self._parts):05d}"))
            self._write(self._parts[-1], array[:room].tobytes())
            self.tokens += min(room, len(array))
            array = array[room:]
        self.samples += 1
        self.text_bytes += text_bytes

    def finish(self, facts: dict[str, Any]) -> None:
        """Give every file its name, then write the meta that makes the split exist."""
        count = len(self._parts)
        names = [
            f"{self.name}.bin" if count == 1 else f"{self.name}-{i:05d}-of-{count:05d}.bin"
            for i in range(count)
        ]
        shards = [self._place(part, name) for part, name in zip(self._parts, names, strict=True)]
        meta = {
            "format": FORMAT_VERSION,
            "token_dtype": {"<u2": "uint16-le", "<u4": "uint32-le"}[self.dtype.str],
            "tokens": self.tokens,
            "documents": self.samples,
            "text_bytes": self.text_bytes,
            "shards": shards,
            **facts,
        }
        if self._mask is not None:
            meta["mask"] = self._place(self._mask, f"{self.name}.mask.bin")
            index = self._open("idx")
            self._parts.append(index)
            header = io.BytesIO()
            np.save(header, np.array(self._starts, dtype=np.int64), allow_pickle=False)
            self._write(index, header.getvalue())
            meta["index"] = self._place(index, f"{self.name}.idx.npy")
        sync_folder(self.folder)
        write_json(self.folder / f"{self.name}.meta.json", meta)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for file in [*self._parts, *([self._mask] if self._mask else [])]:
            with suppress(OSError):  # what could not be written is said already
                file.close()
            Path(file.name).unlink(missing_ok=True)

    def _open(self, part: str) -> IO[bytes]:
        return (self.folder / f".{self.name}.{part}.tmp-{os.getpid()}").open("wb")

    def _write(self, file: IO[bytes], content: bytes) -> None:
        try:
            file.write(content)
        except OSError as error:
            raise unwritable(self.folder / self.name, error) from error

    def _place(self, file: IO[bytes], name: str) -> dict[str, Any]:
        try:
            file.flush()
            os.fsync(file.fileno())
            file.close()
        except OSError as error:
            raise unwritable(self.folder / name, error) from error
        target = Path(file.name).replace(self.folder / name)
        return {"file": name, "bytes": target.stat().st_size, "sha256": file_sha256(target)}


def read_meta(folder: Path, name: str) -> dict[str, Any] | None:
    """The split's meta, or None when it was never finished.

    Raises DataError when it is from another version of the format, or a file's size is not what
    the meta says.
    """
    path = folder / f"{name}.meta.json"
    meta: dict[str, Any] | None = read_json(path)
    if meta is None:
        return None
    if not isinstance(meta, dict) or meta.get("format") != FORMAT_VERSION:
        raise DataError(f"{path} is not of cache format {FORMAT_VERSION}; {HINT}")
    for entry in _entries(meta):
        file = folder / entry["file"]
        size = file.stat().st_size if file.is_file() else None
        if size != entry["bytes"]:
            raise DataError(
                f"{file} has {'no' if size is None else size} bytes where its meta says "
                f"{entry['bytes']}; {HINT}"
            )
    return meta


def forget(folder: Path, name: str) -> None:
    """Remove a split, its meta first, so that no meta ever names files of another build."""
    (folder / f"{name}.meta.json").unlink(missing_ok=True)
    for pattern in (f"{name}.bin", f"{name}-*-of-*.bin", f"{name}.mask.bin", f"{name}.idx.npy"):
        for file in folder.glob(pattern):
            file.unlink()


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
        for entry in _entries(meta):
            if file_sha256(folder / entry["file"]) != entry["sha256"]:
                raise DataError(
                    f"{folder / entry['file']} is damaged: its sha256 is not the meta's; {HINT}"
                )
        self.meta, self.name = meta, name
        dtype = np.dtype({"uint16-le": "<u2", "uint32-le": "<u4"}[meta["token_dtype"]])
        self._shards = [_map(folder / entry["file"], dtype) for entry in meta["shards"]]
        self._ends = np.cumsum([len(shard) for shard in self._shards])
        self.mask: NDArray[np.uint8] | None = None
        self.starts: NDArray[np.int64] | None = None
        if "mask" in meta:
            self.mask = _map(folder / meta["mask"]["file"], np.dtype(np.uint8))
            self.starts = np.load(folder / meta["index"]["file"], allow_pickle=False)

    @property
    def tokens(self) -> int:
        """The number of ids."""
        return int(self.meta["tokens"])

    def read(self, start: int, count: int) -> NDArray[np.int64]:
        """(count,) ids from `start` on, across files."""
        pieces = []
        shard = int(np.searchsorted(self._ends, start, side="right"))
        while count > 0:
            begin = start - (int(self._ends[shard - 1]) if shard else 0)
            piece = self._shards[shard][begin : begin + count].astype(np.int64)
            pieces.append(piece)
            start, count, shard = start + len(piece), count - len(piece), shard + 1
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def identity(meta: dict[str, Any]) -> str:
    """A name for a split's content: equal for equal files, whoever built them."""
    return fingerprint([entry["sha256"] for entry in _entries(meta)])


def _entries(meta: dict[str, Any]) -> list[dict[str, Any]]:
    return [*meta["shards"], *(meta[key] for key in ("mask", "index") if key in meta)]


def _map(path: Path, dtype: "np.dtype[Any]") -> NDArray[Any]:
    # A plain array over the mapping: slices of np.memmap itself cost ten times as much.
    return np.asarray(np.memmap(path, dtype=dtype, mode="r"))
