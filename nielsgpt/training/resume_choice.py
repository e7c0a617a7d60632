"""What a person may ask of a phase that was begun before: to go on by itself, from a file, anew."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Resume:
    """Where a phase goes on from: its newest state, a file, or nowhere (`fresh`)."""

    path: Path | None = None
    fresh: bool = False


AUTOMATIC = Resume()
