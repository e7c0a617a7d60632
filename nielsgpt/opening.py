"""A trained model, opened to talk: weights, tokenizer, and one line that names it."""

from pathlib import Path

from nielsgpt import checkpoint, device
from nielsgpt.model.gpt import GPT
from nielsgpt.phases import pretrained
from nielsgpt.settings import Phase
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.workspace import Workspace


def open_model(
    work: Workspace, path: Path | None = None, phase: Phase = "sft"
) -> tuple[GPT, Tokenizer, str]:
    """The model and tokenizer of a checkpoint, and its name, training and place in one line.

    Without a path: the newest phase's best weights under this name, or with phase "pretrain"
    pretraining's. Raises CheckpointError with the command that makes them.
    """
    if path is None:
        path = work.checkpoints / "best.pt" if phase == "sft" else pretrained(work)
    state = checkpoint.load(path)
    model, tokenizer = checkpoint.restore(state)
    uncompiled = work.settings.device.model_copy(update={"compile": "off"})
    model.to(device.choose(uncompiled, work.settings.model.attention).device)
    facts = state["facts"]
    return model, tokenizer, f"{facts['name']}, {facts['phase']} step {state['step']} ({path})"
