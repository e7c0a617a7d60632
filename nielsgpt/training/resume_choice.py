"""How a phase that was begun resumes: by itself, from a file, or not at all."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Resume:
    """The state a phase resumes from: its newest, a file's, or none (`fresh`)."""

    path: Path | None = None
    fresh: bool = False


AUTOMATIC = Resume()
