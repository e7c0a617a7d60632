"""The model and the tokenizer that a checkpoint holds, whoever wrote it."""

from pathlib import Path

import torch
from torch import Tensor

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.checkpoint.contents import PackedTokenizer, State
from nielsgpt.config.settings import ModelSettings, Settings
from nielsgpt.errors import CheckpointError, NielsError
from nielsgpt.model.gpt import GPT
from nielsgpt.system import machine
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer


def load_model(path: Path) -> tuple[State, GPT, Tokenizer]:
    """The state of a checkpoint, and the model and the tokenizer that it holds.

    Raises CheckpointError as `load` does, and where they do not fit together: the file may be a
    stranger's, so no model is made larger than its weights, and its name is one for a folder.
    """
    state = checkpoint_file.load(path, "weights", "tokenizer", "settings", "facts")
    try:
        Settings(name=state["facts"]["name"])
        return state, *restore_model(state)
    except (NielsError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        said = checkpoint_file.describe(error)
        raise CheckpointError(
            f"{path} contains an inconsistent model ({said}); name another checkpoint"
        ) from None


def pack_tokenizer(tokenizer: Tokenizer) -> PackedTokenizer:
    """A tokenizer as tensors and plain values."""
    files = {
        name: torch.frombuffer(bytearray(content), dtype=torch.uint8)
        for name, content in tokenizer.files().items()
    }
    return {"kind": tokenizer.kind, "files": files}


def unpack_tokenizer(state: State) -> Tokenizer:
    """The tokenizer that a state holds."""
    kept = state["tokenizer"]
    files = {name: tensor.numpy().tobytes() for name, tensor in kept["files"].items()}
    return registry.restore(kept["kind"], files)


def restore_model(state: State) -> tuple[GPT, Tokenizer]:
    """The model, with its weights, and the tokenizer that a state holds."""
    tokenizer = unpack_tokenizer(state)
    shape = ModelSettings.model_validate(state["settings"]["model"])
    weights = checkpoint_file.kept_weights(state)
    _check_shapes(weights, shape, tokenizer.vocab_size)
    model = GPT(shape, tokenizer.vocab_size)
    model.load_state_dict(weights)
    return model.eval(), tokenizer


def _check_shapes(weights: dict[str, Tensor], shape: ModelSettings, vocab_size: int) -> None:
    """Raise ValueError unless these are the weights of such a model; takes no memory for one."""
    if shape.n_layer > len(weights):
        raise ValueError(f"it has not the weights of {shape.n_layer} blocks")
    with torch.device("meta"):
        model = GPT(shape, vocab_size)
    beside, free = sum(buffer.nbytes for buffer in model.buffers()), machine.available_bytes()
    if beside > free:
        raise ValueError(
            f"its context takes {beside // 2**20:,} MiB, and {free // 2**20:,} are free"
        )
    expected = model.state_dict()
    if odd := set(expected) ^ set(weights):
        raise ValueError(f"{min(odd)} is in its weights or in its shape alone")
    for name, tensor in expected.items():
        found = weights[name]
        if (found.shape, found.dtype) != (tensor.shape, tensor.dtype):
            raise ValueError(
                f"{name} is {found.dtype} of {list(found.shape)}, not {list(tensor.shape)}"
            )
