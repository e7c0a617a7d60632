"""What an export is made from: a checkpoint's model and tokenizer, and what is known of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.config.settings import GenerationSettings
from nielsgpt.model.gpt import GPT
from nielsgpt.system.workspace import Workspace, fingerprint, read_json
from nielsgpt.tokenizers.base import Tokenizer

EXAM_FILE = "exam.json"
Facts = dict[str, Any]


@dataclass(frozen=True)
class TrainedModel:
    """A model with the weights that are kept, its tokenizer, and its facts.

    `marks` are the exam's where it was these weights that were examined; `before` the facts of the
    pretraining that SFT started from, where they are still there.
    """

    model: GPT
    tokenizer: Tokenizer
    generation: GenerationSettings
    facts: Facts
    settings: str
    marks: Facts | None
    before: Facts | None

    @property
    def name(self) -> str:
        """The name that it was trained under."""
        return str(self.facts["name"])


def open_trained(workspace: Workspace, path: Path | None = None) -> TrainedModel:
    """The trained model of a checkpoint; without a path, the one that `nielsgpt chat` opens.

    Raises CheckpointError with the command that makes it.
    """
    state, model, tokenizer = load_model.load_model(path or workspace.checkpoints / "best.pt")
    facts: Facts = state["facts"]
    weights = checkpoint_file.weights_sha256(checkpoint_file.kept_weights(state))
    known = workspace.root / "checkpoints" / str(facts["name"])
    marks = read_json(known / EXAM_FILE)
    return TrainedModel(
        model,
        tokenizer,
        workspace.settings.generation,
        {**facts, "step": state["step"], "weights_sha256": weights},
        fingerprint(state["settings"]),
        marks if marks is not None and marks.get("weights_sha256") == weights else None,
        _pretraining(known / "pretrain", facts["origin"].get("start")),
    )


def _pretraining(folder: Path, start: str | None) -> Facts | None:
    """The facts of the pretrained weights of this sha256."""
    if start is None:
        return None
    found = (read_json(path) for path in sorted(folder.glob("*.json")))
    return next((f for f in found if f and f.get("weights_sha256") == start), None)
