"""A split while it is written: it grows in hidden files, and goes on where a killed process was."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nielsgpt.data.cache.append_file import AppendFile, hidden
from nielsgpt.data.cache.shards import FORMAT_VERSION, forget, reopen, token_dtype
from nielsgpt.errors import NielsError
from nielsgpt.system.workspace import explain_unwritable, sync_folder, write_sealed

NPY_HEADER = 128


class SplitWriter:
    """Writes one split; nothing of it is visible under its name before `finish`.

    `state`, of an earlier writer, goes on where that one was; raises DataError where its files are
    not there any more.
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
        self.folder, self.name, self.masked = folder, name, masked
        self.dtype = np.dtype(token_dtype(vocab_size))
        self.shard_tokens = max(1, shard_bytes // self.dtype.itemsize)
        begun = state or {"tokens": 0, "samples": 0, "text_bytes": 0, "finished": []}
        self.tokens, self.samples = int(begun["tokens"]), int(begun["samples"])
        self.text_bytes = int(begun["text_bytes"])
        self.finished: list[dict[str, Any]] = [*begun["finished"]]
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
        """Append samples: their ids (N,) end to end, how many each has, the mask (N,) for SFT."""
        assert (mask is not None) == self.masked
        array, counts = np.asarray(ids, dtype=self.dtype), np.asarray(lengths, dtype=np.int64)
        if mask is not None:
            starts = self.tokens + np.cumsum(counts) - counts
            self._files[f"{self.name}.idx.npy"].write(starts.astype("<i8").tobytes())
            self._files[f"{self.name}.mask.bin"].write(np.asarray(mask, dtype=np.uint8).tobytes())
        while len(array):
            room = self.shard_tokens - self.tokens % self.shard_tokens
            shard = self._shard_name()
            file = self._files.get(shard) or self._grow(shard)
            file.write(array[:room].tobytes())
            self.tokens += min(room, len(array))
            if self.tokens % self.shard_tokens == 0:
                self.finished.append(self._files.pop(shard).close())
            array = array[room:]
        self.samples += len(counts)
        self.text_bytes += text_bytes

    def state(self) -> dict[str, Any]:
        """How far it is, once all of it is safe on the disk."""
        for file in self._files.values():
            file.sync()
        counts = {"tokens": self.tokens, "samples": self.samples, "text_bytes": self.text_bytes}
        return {**counts, "finished": self.finished}

    def finish(self, facts: dict[str, Any]) -> None:
        """Give every file its name, then write the meta that makes the split exist."""
        if (last := self._files.pop(self._shard_name(), None)) is not None:
            self.finished.append(last.close())
        count = len(self.finished)
        shards = [
            self._place(hidden(self.folder / f"{self.name}-{i:05d}"), entry, name)
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
            **facts,
        }
        if self.masked:
            self._files[f"{self.name}.idx.npy"].write_start(npy_header(self.samples))
            for key, name in (("mask", f"{self.name}.mask.bin"), ("index", f"{self.name}.idx.npy")):
                file = self._files.pop(name)
                meta[key] = self._place(file.hidden, file.close(), name)
        sync_folder(self.folder)
        write_sealed(self.folder / f"{self.name}.meta.json", meta)

    def abandon(self) -> None:
        """Close every file as it is."""
        for file in self._files.values():
            file.abandon()

    def _open(self, again: bool) -> None:
        (reopen if again else forget)(self.folder, self.name)
        length = self.tokens - len(self.finished) * self.shard_tokens
        if length:
            self._grow(self._shard_name(), length * self.dtype.itemsize)
        if self.masked:
            self._grow(f"{self.name}.mask.bin", self.tokens)
            index = self._grow(f"{self.name}.idx.npy", again * (NPY_HEADER + 8 * self.samples))
            if not again:
                index.write(bytes(NPY_HEADER))

    def _shard_name(self) -> str:
        return f"{self.name}-{len(self.finished):05d}"

    def _grow(self, name: str, length: int = 0) -> AppendFile:
        self._files[name] = AppendFile(self.folder / name, length)
        return self._files[name]

    def _place(self, grown: Path, entry: dict[str, Any], name: str) -> dict[str, Any]:
        try:
            grown.replace(self.folder / name)
        except OSError as error:
            raise explain_unwritable(self.folder / name, error) from error
        return {"file": name, **entry}


def npy_header(count: int) -> bytes:
    """The first NPY_HEADER bytes of an .npy file of `count` int64; NumPy leaves room to grow."""
    content = io.BytesIO()
    facts = {"descr": "<i8", "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(content, facts)
    assert len(content.getvalue()) == NPY_HEADER
    return content.getvalue()
