"""A trained model, opened to talk: weights, tokenizer, and one line that names it."""

from pathlib import Path

from nielsgpt import checkpoint, device
from nielsgpt.assembly import pretrained
from nielsgpt.model.gpt import GPT
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
    where = device.choose_device(work.settings.device.device)
    device.set_up(where, work.settings.device.threads)
    model.to(where)
    facts = state["facts"]
    return model, tokenizer, f"{facts['name']}, {facts['phase']} step {state['step']} ({path})"
