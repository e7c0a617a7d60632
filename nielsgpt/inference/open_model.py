"""A trained model, opened to talk: weights, tokenizer, and one line that names it."""

from dataclasses import dataclass
from pathlib import Path

from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.checkpoint.select import pretrained_weights
from nielsgpt.config.settings import DeviceSettings, Phase
from nielsgpt.errors import SettingsError
from nielsgpt.inference import compiled_decode, quantize
from nielsgpt.model.gpt import GPT
from nielsgpt.system import device
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.base import Tokenizer


@dataclass(frozen=True)
class OpenModel:
    """A model that talks, its tokenizer, its name, the sha256 of its weights as they were trained,
    and its name, training and place in one line."""

    model: GPT
    tokenizer: Tokenizer
    name: str
    weights_sha256: str
    line: str


def open_model(
    workspace: Workspace, path: Path | None = None, phase: Phase = "sft", rows: int = 1
) -> OpenModel:
    """The model of a checkpoint.

    Without a path: the newest phase's best weights under this name, or with phase "pretrain"
    pretraining's. The weights are put into the form of the settings, or the one in which so many
    `rows` are drawn fastest. Raises CheckpointError with the command that makes them.
    """
    if path is None:
        path = (
            workspace.checkpoints / "best.pt" if phase == "sft" else pretrained_weights(workspace)
        )
    state, model, tokenizer = load_model.load_model(path)
    where = device.choose_device(workspace.settings.device.device)
    device.apply_execution(where, workspace.settings.device.threads)
    model.to(where)
    form = _form(workspace.settings.device, model, where, rows)
    facts, sha256 = (
        state["facts"],
        checkpoint_file.weights_sha256(checkpoint_file.kept_weights(state)),
    )
    made = f"{facts['name']}, {facts['phase']} step {state['step']}"
    if phase == "sft" != facts["phase"]:
        made += ", not yet taught to chat"
    model = quantize.convert_weights(model, form)
    if workspace.settings.device.compile == "on" and rows == 1 and form in compiled_decode.FORMS:
        model.step = compiled_decode.compile_decode(model)
    line = f"{made} ({path}), {form} weights"
    return OpenModel(model, tokenizer, facts["name"], sha256, line)


def _form(settings: DeviceSettings, model: GPT, where: str, rows: int) -> quantize.Form:
    """The form of the weights that the settings ask for; SettingsError where it cannot be."""
    there = quantize.weight_forms(where)
    if settings.weights == "auto":
        return quantize.fastest_form(model, rows) if settings.measure else there[0]
    if settings.weights not in there:
        raise SettingsError(
            f"device.weights={settings.weights} is not for {where}; it has {', '.join(there)}"
        )
    return settings.weights
