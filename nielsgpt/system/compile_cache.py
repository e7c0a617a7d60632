"""torch.compile: whether it works here, and a cache without what a killed compiler has left in it.

A library whose build was killed stays in torch's cache half-written, and torch takes it for whole:
from then on nothing that needs it compiles, in no process, or a slower set of instructions is
taken. Its other files are written whole, but a power cut may leave them empty.
"""

import logging
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch

from nielsgpt.errors import first_line
from nielsgpt.system.device import ExecutionConfig

log = logging.getLogger("nielsgpt")
P = ParamSpec("P")
R = TypeVar("R")
CUT_OFF = "_CxxBuild"  # ends the name of torch's folder for a build; a whole build removes it
MADE = (".so", ".o", ".gch", ".pch", ".py")  # by builds; what else there is torch checks itself


def can_compile(device: str) -> bool:
    """Whether torch.compile finds a compiler here; tried on one small function."""
    if device == "mps" or (device == "cpu" and not any(map(shutil.which, ("g++", "clang++")))):
        return False
    try:
        guard_compile(_probe)(torch.ones(64, device=device))
    except Exception as error:  # any failure of the tool chain means: do without it
        log.info(
            "torch.compile does not work here (%s); continuing without it", first_line(error)[:120]
        )
        return False
    return True


def _probe(x: torch.Tensor) -> torch.Tensor:
    return (x * 2 + 1).sin()


def compile_if_enabled(
    function: Callable[P, R], execution: ExecutionConfig, any_shape: bool = False
) -> Callable[P, R]:
    """The function, compiled where the engine compiles: for fixed shapes, or once for all."""
    return guard_compile(function, any_shape) if execution.compiled else function


def guard_compile(function: Callable[P, R], any_shape: bool = False) -> Callable[P, R]:
    """The function, compiled at its first call with an intact compile cache."""
    _sweep()
    return torch.compile(function, dynamic=any_shape)


@cache
def _sweep() -> None:
    """Remove from torch's cache, once a process, what builds that were cut off have left."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    gone = [file for stem in set(_suspects(Path(cache_dir()))) for file in _remove(stem)]
    if gone:
        log.info("torch.compile was interrupted before; rebuilding its unfinished files")


def _suspects(folder: Path) -> Iterator[Path]:
    """Builds that were not ended and files that hold nothing, without their endings."""
    for path in folder.rglob("*"):
        if path.name.endswith(CUT_OFF):
            yield path.with_name(path.name.removesuffix(CUT_OFF))
        elif path.suffix in MADE and not _holds_something(path):
            yield path.with_suffix("")


def _remove(stem: Path) -> Iterator[Path]:
    """Remove what a build made, where it is not whole; a running build is waited for."""
    from torch._inductor.codecache import LOCK_TIMEOUT, get_lock_dir
    from torch.utils._filelock import FileLock

    key, build = stem.name.partition(".")[0], stem.with_name(f"{stem.name}{CUT_OFF}")
    with FileLock(str(Path(get_lock_dir(), f"{key}.lock")), timeout=LOCK_TIMEOUT):
        was_cut_off = build.exists()
        for file in stem.parent.glob(f"{stem.name}.*"):
            if file.suffix in MADE and (was_cut_off or not _holds_something(file)):
                file.unlink(missing_ok=True)
                yield file
        shutil.rmtree(build, ignore_errors=True)


def _holds_something(file: Path) -> bool:
    """Whether the file is there and does not begin with zeros, as one that never reached the disk
    does."""
    try:
        with file.open("rb") as stream:
            return any(stream.read(4))
    except FileNotFoundError:
        return False
