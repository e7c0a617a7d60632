"""A trained model, opened to talk: weights, tokenizer, and one line that names it."""

from dataclasses import dataclass
from pathlib import Path

from nielsgpt import checkpoint, device, restoring
from nielsgpt.assembly import pretrained
from nielsgpt.errors import SettingsError
from nielsgpt.inference import quick, weights
from nielsgpt.model.gpt import GPT
from nielsgpt.settings import DeviceSettings, Phase
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.workspace import Workspace


@dataclass(frozen=True)
class Opened:
    """A model that talks, its tokenizer, its name, the sha256 of its weights as they were trained,
    and its name, training and place in one line."""

    model: GPT
    tokenizer: Tokenizer
    name: str
    weights_sha256: str
    line: str


def open_model(
    work: Workspace, path: Path | None = None, phase: Phase = "sft", rows: int = 1
) -> Opened:
    """The model of a checkpoint.

    Without a path: the newest phase's best weights under this name, or with phase "pretrain"
    pretraining's. The weights are put into the form of the settings, or the one in which so many
    `rows` are drawn fastest. Raises CheckpointError with the command that makes them.
    """
    if path is None:
        path = work.checkpoints / "best.pt" if phase == "sft" else pretrained(work)
    state, model, tokenizer = restoring.load_model(path)
    where = device.choose_device(work.settings.device.device)
    device.set_up(where, work.settings.device.threads)
    model.to(where)
    form = _form(work.settings.device, model, where, rows)
    facts, sha256 = state["facts"], checkpoint.weights_sha256(checkpoint.kept_weights(state))
    made = f"{facts['name']}, {facts['phase']} step {state['step']}"
    if phase == "sft" != facts["phase"]:
        made += ", not yet taught to chat"
    model = weights.put(model, form)
    if work.settings.device.compile == "on" and rows == 1 and form in quick.FORMS:
        model.step = quick.compiled(model)
    line = f"{made} ({path}), {form} weights"
    return Opened(model, tokenizer, facts["name"], sha256, line)


def _form(settings: DeviceSettings, model: GPT, where: str, rows: int) -> weights.Form:
    """The form of the weights that the settings ask for; SettingsError where it cannot be."""
    there = weights.forms(where)
    if settings.weights == "auto":
        return weights.fastest(model, rows) if settings.measure else there[0]
    if settings.weights not in there:
        raise SettingsError(
            f"device.weights={settings.weights} is not for {where}; it has {', '.join(there)}"
        )
    return settings.weights
