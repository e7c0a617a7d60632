"""The writer of a split: appends to hidden files, and can resume after a killed process."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nielsgpt.data.cache.append_file import AppendFile, part_path
from nielsgpt.data.cache.shards import FORMAT_VERSION, hide_files, remove_split, token_dtype
from nielsgpt.errors import NielsError
from nielsgpt.system.atomic_files import explain_unwritable, sync_folder, write_sealed

NPY_HEADER = 128


class SplitWriter:
    """Writes one split; no file has its final name before `finish`.

    With the `state` of an earlier writer, resumes from there; raises DataError if its files are
    gone.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        vocab_size: int,
        shard_bytes: int,
        masked: bool,
        state: dict[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.name = name
        self.masked = masked
        self.dtype = np.dtype(token_dtype(vocab_size))
        self.shard_tokens = max(1, shard_bytes // self.dtype.itemsize)
        saved = state or {"tokens": 0, "samples": 0, "text_bytes": 0, "finished": []}
        self.tokens = int(saved["tokens"])
        self.samples = int(saved["samples"])
        self.text_bytes = int(saved["text_bytes"])
        self.finished: list[dict[str, Any]] = [*saved["finished"]]
        self._files: dict[str, AppendFile] = {}
        try:
            self._open(bool(state))
        except NielsError:
            self.abandon()
            raise

    def add(
        self,
        ids: ArrayLike,
        lengths: ArrayLike,
        text_bytes: int,
        mask: ArrayLike | None = None,
    ) -> None:
        """Append samples: concatenated ids (N,), lengths (S,) and, for SFT, the mask (N,)."""
        assert (mask is not None) == self.masked
        array, counts = np.asarray(ids, dtype=self.dtype), np.asarray(lengths, dtype=np.int64)
        if mask is not None:
            starts = self.tokens + np.cumsum(counts) - counts
            self._files[f"{self.name}.idx.npy"].write(starts.astype("<i8").tobytes())
            self._files[f"{self.name}.mask.bin"].write(np.asarray(mask, dtype=np.uint8).tobytes())
        while len(array):
            room = self.shard_tokens - self.tokens % self.shard_tokens
            shard = self._shard_name()
            file = self._files.get(shard) or self._open_file(shard)
            file.write(array[:room].tobytes())
            self.tokens += min(room, len(array))
            if self.tokens % self.shard_tokens == 0:
                self.finished.append(self._files.pop(shard).close())
            array = array[room:]
        self.samples += len(counts)
        self.text_bytes += text_bytes

    def state(self) -> dict[str, Any]:
        """Sync all files to disk, then return the state to resume from."""
        for file in self._files.values():
            file.sync()
        counts = {"tokens": self.tokens, "samples": self.samples, "text_bytes": self.text_bytes}
        return {**counts, "finished": self.finished}

    def finish(self, metadata: dict[str, Any]) -> None:
        """Give every file its final name, then write the meta, which completes the split."""
        if (last := self._files.pop(self._shard_name(), None)) is not None:
            self.finished.append(last.close())
        count = len(self.finished)
        shards = [
            self._rename(part_path(self.folder / f"{self.name}-{i:05d}"), entry, name)
            for i, entry in enumerate(self.finished)
            for name in [
                f"{self.name}.bin" if count == 1 else f"{self.name}-{i:05d}-of-{count:05d}.bin"
            ]
        ]
        meta = {
            "format": FORMAT_VERSION,
            "token_dtype": {"<u2": "uint16-le", "<u4": "uint32-le"}[self.dtype.str],
            "tokens": self.tokens,
            "documents": self.samples,
            "text_bytes": self.text_bytes,
            "shards": shards,
            **metadata,
        }
        if self.masked:
            self._files[f"{self.name}.idx.npy"].write_start(npy_header(self.samples))
            for key, name in (("mask", f"{self.name}.mask.bin"), ("index", f"{self.name}.idx.npy")):
                file = self._files.pop(name)
                meta[key] = self._rename(file.part, file.close(), name)
        sync_folder(self.folder)
        write_sealed(self.folder / f"{self.name}.meta.json", meta)

    def abandon(self) -> None:
        """Close every file and leave it as it is."""
        for file in self._files.values():
            file.abandon()

    def _open(self, resuming: bool) -> None:
        (hide_files if resuming else remove_split)(self.folder, self.name)
        length = self.tokens - len(self.finished) * self.shard_tokens
        if length:
            self._open_file(self._shard_name(), length * self.dtype.itemsize)
        if self.masked:
            self._open_file(f"{self.name}.mask.bin", self.tokens)
            index = self._open_file(
                f"{self.name}.idx.npy", resuming * (NPY_HEADER + 8 * self.samples)
            )
            if not resuming:
                index.write(bytes(NPY_HEADER))

    def _shard_name(self) -> str:
        return f"{self.name}-{len(self.finished):05d}"

    def _open_file(self, name: str, length: int = 0) -> AppendFile:
        self._files[name] = AppendFile(self.folder / name, length)
        return self._files[name]

    def _rename(self, source: Path, entry: dict[str, Any], name: str) -> dict[str, Any]:
        try:
            source.replace(self.folder / name)
        except OSError as error:
            raise explain_unwritable(self.folder / name, error) from error
        return {"file": name, **entry}


def npy_header(count: int) -> bytes:
    """The header of an .npy file of `count` int64, padded by NumPy to NPY_HEADER bytes."""
    content = io.BytesIO()
    metadata = {"descr": "<i8", "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(content, metadata)
    assert len(content.getvalue()) == NPY_HEADER
    return content.getvalue()
