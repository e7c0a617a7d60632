"""Where each artifact lives on disk, the fingerprint that names it, and how it is written.

data/tokenizers/<name>/        the tokenizer
data/cache/<name>/streams|sft/ token ids
checkpoints/<name>/pretrain|sft/{latest,best,step_0000500}.pt
checkpoints/<name>/{latest,best}.pt
runs/<run_id>/                 metrics.csv, run_meta.json, resolved_settings.json
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nielsgpt.config.settings import Phase, Settings

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Workspace:
    """The folders of one model under one root."""

    root: Path
    settings: Settings

    @property
    def tokenizer(self) -> Path:
        """The folder of the trained tokenizer."""
        return self.root / "data" / "tokenizers" / self.settings.name

    @property
    def cache(self) -> Path:
        """The folder of token streams and SFT rows."""
        chosen = self.settings.data.cache_dir
        return self.root / (chosen or f"data/cache/{self.settings.name}")

    def splits(self, phase: Phase) -> Path:
        """The folder of one phase's cached splits."""
        return self.cache / {"pretrain": "streams", "sft": "sft"}[phase]

    @property
    def checkpoints(self) -> Path:
        """The folder of everything trained under this name."""
        return self.root / "checkpoints" / self.settings.name

    @property
    def runs(self) -> Path:
        """The folder of all runs' records."""
        return self.root / "runs"


def set_aside(path: Path) -> Path:
    """Give a folder or a file a dated name beside it; nothing that was trained is ever deleted."""
    suffix = path.suffix if path.is_file() else ""
    dated = f"{path.name.removesuffix(suffix)}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    target, number = path.with_name(dated + suffix), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{dated}-{number}{suffix}")
    return path.rename(target)
