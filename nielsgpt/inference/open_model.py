"""Opening a trained model for inference: weights, tokenizer, and a line that describes it."""

from dataclasses import dataclass
from pathlib import Path

import torch

from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.checkpoint.select import chat_weights, pretrained_weights
from nielsgpt.config.settings import DeviceSettings, Phase
from nielsgpt.errors import SettingsError
from nielsgpt.inference import compiled_decode, quantize
from nielsgpt.model.gpt import GPT
from nielsgpt.system import device
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.tokenizers.byte import ByteTokenizer


@dataclass(frozen=True)
class OpenModel:
    """A model ready to generate, its tokenizer and name, the sha256 of its weights as trained, and
    a line with its name, training, file and weight format."""

    model: GPT
    tokenizer: Tokenizer
    name: str
    weights_sha256: str
    line: str


def open_untrained(workspace: Workspace) -> OpenModel:
    """The model of the settings with random weights, which tries the whole path of generation.

    It reads the tokenizer of the settings, or bytes where that is not trained.
    """
    settings = workspace.settings
    trained = registry.read_meta(workspace.tokenizer) is not None
    tokenizer = registry.load(workspace.tokenizer) if trained else ByteTokenizer()
    torch.manual_seed(settings.seed)
    model = GPT(settings.model, tokenizer.vocab_size)
    device_name = device.choose_device(settings.device.device)
    device.apply_execution(device_name, settings.device.threads)
    model.to(device_name)
    line = f"{settings.name}, untrained: random weights, {tokenizer.kind} tokens"
    return OpenModel(model, tokenizer, settings.name, "", line)


def open_model(
    workspace: Workspace, path: Path | None = None, phase: Phase = "sft", rows: int = 1
) -> OpenModel:
    """The model of a checkpoint, on the device and in the weight format of the settings.

    Without a path: the best weights of the newest phase, or of pretraining with phase "pretrain".
    With device.weights=auto, the format is the fastest one for this many `rows`. Raises
    CheckpointError with the command that makes the checkpoint.
    """
    if path is None:
        path = chat_weights(workspace) if phase == "sft" else pretrained_weights(workspace)
    state, model, tokenizer = load_model.load_model(path)
    settings = workspace.settings.device
    device_name = device.choose_device(settings.device)
    device.apply_execution(device_name, settings.threads)
    model.to(device_name)
    weight_format = choose_format(settings, model, device_name, rows)
    model = quantize.convert_weights(model, weight_format)
    if settings.compile == "on" and rows == 1 and weight_format in compiled_decode.COMPILABLE:
        model.step = compiled_decode.compile_decode(model)
    metadata = state["facts"]
    training = f"{metadata['name']}, {metadata['phase']} step {state['step']}"
    if phase == "sft" != metadata["phase"]:
        training += ", not yet taught to chat"
    return OpenModel(
        model,
        tokenizer,
        metadata["name"],
        checkpoint_file.weights_sha256(checkpoint_file.kept_weights(state)),
        f"{training} ({path}), {weight_format} weights",
    )


def choose_format(
    settings: DeviceSettings, model: GPT, device_name: str, rows: int
) -> quantize.WeightFormat:
    """The weight format that the settings ask for; SettingsError if the device lacks it."""
    supported = quantize.list_weight_formats(device_name)
    if settings.weights == "auto":
        return quantize.choose_fastest_format(model, rows) if settings.measure else supported[0]
    if settings.weights not in supported:
        raise SettingsError(
            f"device.weights={settings.weights} is not supported on {device_name}; "
            f"choose one of {', '.join(supported)}"
        )
    return settings.weights
