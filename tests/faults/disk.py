"""A folder watched while it is written, and every state that a kill or a power loss could leave."""

import builtins
import io
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Entries = dict[int, dict[str, int]]  # a folder's inode: the inodes of its names
MOVES = ("replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir", "truncate")


@dataclass(frozen=True)
class State:
    """What a folder may hold after the fault: its files by their relative names, and its folders.

    Names of one inode are links to one file.
    """

    fault: str
    folders: frozenset[str]
    files: tuple[tuple[str, int, bytes], ...]

    @property
    def content(self) -> tuple[frozenset[str], tuple[tuple[str, bytes], ...]]:
        """What makes two states one."""
        return self.folders, tuple((name, held) for name, _, held in self.files)

    def put(self, place: Path) -> Path:
        """Lay it down in a new folder."""
        place.mkdir(parents=True)
        for name in sorted(self.folders):
            (place / name).mkdir(exist_ok=True)
        first: dict[int, Path] = {}
        for name, inode, held in self.files:
            if inode in first:
                os.link(first[inode], place / name)
            else:
                first[inode] = place / name
                first[inode].write_bytes(held)
        return place


class Disk:
    """The folder as it is, and what of it is safe: only what was fsynced, names and data apart.

    A new folder's own name counts as safe: were it lost, so would be all that it could hold wrong.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.count = root, 0
        self.states: dict[Any, State] = {}
        self.last: dict[str, State] = {}
        self._held: dict[int, int] = {}  # an open handle keeps an inode's number from a second life
        self._kept: Entries = {}
        self._turn = threading.RLock()
        self._look()
        self._safe, self._kept = dict(self._data), dict(self._names)

    def before(self, what: str) -> None:
        """Note every state in which the moment before this operation could leave the folder."""
        with self._turn:
            self.count += 1
            earlier = self._names
            self._look()
            newest = _changed(self._kept, earlier, self._names)
            label = f"before operation {self.count} ({what})"
            for fault, names, data in (
                ("killed", self._names, self._data),
                ("power lost, data dropped", self._names, self._dropped),
                ("power lost, data torn", self._names, self._torn),
                ("power lost, names dropped", self._kept, self._data),
                ("power lost, all dropped", self._kept, self._dropped),
                ("power lost, the newest name kept alone", newest, self._data),
            ):
                state = self._state(f"{fault} {label}", names, data)
                self.states.setdefault(state.content, state)
                self.last[fault] = state

    def synced(self, inode: int) -> None:
        """What of this file or folder is there now survives."""
        with self._turn:
            self._look()
            if inode in self._names:
                self._kept[inode] = self._names[inode]
            elif inode in self._data:
                self._safe[inode] = self._data[inode]

    def close(self) -> None:
        """Let the files go."""
        for handle in self._held.values():
            os.close(handle)

    @property
    def _dropped(self) -> dict[int, bytes]:
        return {inode: self._safe.get(inode, b"") for inode in self._data}

    @property
    def _torn(self) -> dict[int, bytes]:
        return {inode: _half(self._safe.get(inode, b""), now) for inode, now in self._data.items()}

    def _look(self) -> None:
        self._data = {n: _content(handle) for n, handle in self._held.items() if _is_file(handle)}
        self._names: Entries = {}
        self._enter(self.root)

    def _enter(self, folder: Path) -> None:
        here = folder.stat().st_ino
        self._names[here] = {}
        for entry in os.scandir(folder):
            inode = entry.inode()
            self._names[here][entry.name] = inode
            if inode not in self._held:
                handle = self._held[inode] = os.open(entry.path, os.O_RDONLY)
                if _is_file(handle):
                    self._data[inode] = _content(handle)
                else:
                    self._kept.setdefault(here, {})[entry.name] = inode
                    self._kept[inode] = {}
            if entry.is_dir():
                self._enter(Path(entry.path))

    def _state(self, fault: str, names: Entries, data: dict[int, bytes]) -> State:
        folders, files = set(), []
        waiting = [("", self.root.stat().st_ino)]
        while waiting:
            above, inode = waiting.pop()
            for name, child in sorted(names.get(inode, {}).items()):
                path = f"{above}{name}"
                if child in data:
                    files.append((path, child, data[child]))
                else:
                    folders.add(path)
                    waiting.append((f"{path}/", child))
        return State(fault, frozenset(folders), tuple(sorted(files)))


def watch(root: Path, work: Callable[[], object], patch: pytest.MonkeyPatch) -> Disk:
    """Do the work and note every state that its folder could be left in on the way."""
    disk = Disk(root)
    with patch.context() as patched:
        for name in MOVES:
            patched.setattr(os, name, _told(disk, name, getattr(os, name)))
        plain_sync, plain_open = os.fsync, io.open

        def fsync(handle: Any) -> None:
            number = handle if isinstance(handle, int) else handle.fileno()
            disk.before("fsync")
            plain_sync(number)
            disk.synced(os.fstat(number).st_ino)

        def opened(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
            if isinstance(file, int) or set(mode) <= set("rbt"):
                return plain_open(file, mode, buffering, *rest, **more)
            disk.before(f"open {os.path.basename(file)}")
            raw = _Raw(disk, file, mode.replace("b", "").replace("t", ""))
            buffer = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)  # type: ignore[arg-type]
            return buffer if "b" in mode else io.TextIOWrapper(buffer, *rest, **more)

        patched.setattr(os, "fsync", fsync)
        patched.setattr(io, "open", opened)
        patched.setattr(builtins, "open", opened)
        work()
        disk.before("the end")
    disk.close()
    return disk


class _Raw(io.FileIO):
    def __init__(self, disk: Disk, file: Any, mode: str) -> None:
        super().__init__(file, mode)
        self.disk = disk

    def write(self, content: Any) -> int:
        self.disk.before(f"write {os.path.basename(str(self.name))}")
        return super().write(content)


def _told(disk: Disk, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **more: Any) -> Any:
        disk.before(f"{name} {os.path.basename(str(arguments[0]))}")
        return plain(*arguments, **more)

    return call


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder but its locks, and how far a build was that is done by now."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".lock" and not path.match(".*progress.json")
    }


def sample(disk: Disk, most: int, seed: int = 0) -> Iterator[State]:
    """So many of the states, drawn by the seed, in their order; all where there are no more."""
    import random

    found = list(disk.states.values())
    chosen = sorted(random.Random(seed).sample(range(len(found)), min(most, len(found))))
    return (found[index] for index in chosen)


def _changed(kept: Entries, earlier: Entries, now: Entries) -> Entries:
    """The safe names with what changed since a moment before: a disk keeps names in any order."""
    found = {}
    for folder, safe in kept.items():
        was, entries = earlier.get(folder, {}), now.get(folder, {})
        new = {name: inode for name, inode in entries.items() if was.get(name) != inode}
        gone = was.keys() - entries.keys()
        found[folder] = {n: i for n, i in {**safe, **new}.items() if n not in gone}
    return found


def _half(safe: bytes, now: bytes) -> bytes:
    """Half of what was not safe yet: the file ends there, or what follows is zeros."""
    if safe == now:
        return now
    begun = len(safe) if now.startswith(safe) else 0
    return now[: begun + (len(now) - begun) // 2]


def _content(handle: int) -> bytes:
    return os.pread(handle, os.fstat(handle).st_size, 0)


def _is_file(handle: int) -> bool:
    return stat.S_ISREG(os.fstat(handle).st_mode)
