"""A trained model for export: a checkpoint's model, tokenizer, metadata and exam scores."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.checkpoint.contents import Facts
from nielsgpt.checkpoint.exam_report import EXAM_FILE, ExamReport, read_report
from nielsgpt.checkpoint.select import chat_weights
from nielsgpt.config.settings import GenerationSettings
from nielsgpt.model.gpt import GPT
from nielsgpt.system.atomic_files import fingerprint, read_json
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.base import Tokenizer


@dataclass(frozen=True)
class TrainedModel:
    """A model, its tokenizer, and the metadata of its checkpoint.

    `settings` is the hash of its settings. `exam`: the scores of exactly these weights, or None.
    `pretraining`: the metadata of the pretraining that SFT started from, or None.
    """

    model: GPT
    tokenizer: Tokenizer
    generation: GenerationSettings
    metadata: Facts
    settings: str
    exam: ExamReport | None
    pretraining: Facts | None

    @property
    def name(self) -> str:
        """The name it was trained with."""
        return str(self.metadata["name"])


def open_trained(workspace: Workspace, path: Path | None = None) -> TrainedModel:
    """The trained model of a checkpoint; without a path, the one that `nielsgpt chat` opens.

    Raises CheckpointError with the command that makes the checkpoint.
    """
    state, model, tokenizer = load_model.load_model(path or chat_weights(workspace))
    metadata = state["facts"]
    sha256 = checkpoint_file.weights_sha256(checkpoint_file.kept_weights(state))
    folder = workspace.root / "checkpoints" / str(metadata["name"])
    exam = read_report(folder / EXAM_FILE)
    return TrainedModel(
        model,
        tokenizer,
        workspace.settings.generation,
        {**metadata, "step": state["step"], "weights_sha256": sha256},
        fingerprint(state["settings"]),
        exam if exam is not None and exam.get("weights_sha256") == sha256 else None,
        find_pretraining(folder / "pretrain", metadata["origin"].get("start")),
    )


def find_pretraining(folder: Path, sha256: str | None) -> Facts | None:
    """The metadata of the pretrained weights with this hash, or None."""
    if sha256 is None:
        return None
    candidates: Iterator[Facts | None] = (read_json(path) for path in sorted(folder.glob("*.json")))
    return next((one for one in candidates if one and one.get("weights_sha256") == sha256), None)
