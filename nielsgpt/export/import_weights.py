"""Importing weights: a family's tensors back to our names and layouts."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nielsgpt.config.settings import ModelSettings
from nielsgpt.errors import DataError
from nielsgpt.export.tensor_map import FAMILIES, Layout, TensorRow
from nielsgpt.export.tensors import LAYOUTS
from nielsgpt.model.gpt import GPT
from nielsgpt.system import machine

Weights = dict[str, Tensor]


def read_weights(path: Path, shape: ModelSettings, vocab_size: int) -> Weights:
    """The state dict of a model of this shape, bit for bit as before its export.

    Zeros that stand for missing biases are left out. Raises DataError if the file is damaged or has
    another shape, before memory for a model is allocated.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path.name} is not a readable safetensors file ({error})") from None
    if shape.n_layer > len(tensors):
        raise DataError(f"{path.name} lacks the tensors of {shape.n_layer} blocks")
    expected = _list_expected(shape, vocab_size)
    weights = dict(_import_rows(tensors, expected, shape, path))
    for name, (dimensions, dtype) in expected.items():
        if name not in weights or (weights[name].shape, weights[name].dtype) != (dimensions, dtype):
            raise DataError(f"{path.name} lacks {name} in the shape of the model")
    return weights


def _list_expected(
    shape: ModelSettings, vocab_size: int
) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """The shape and dtype of each tensor of such a model, without allocating it."""
    with torch.device("meta"):
        model = GPT(shape, vocab_size)
    needed = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    free = machine.available_bytes()
    if needed > free:
        raise DataError(
            f"the model needs {needed // 2**20:,} MiB of memory and {free // 2**20:,} MiB are free"
        )
    return {name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}


def _import_rows(
    tensors: Weights, expected: Mapping[str, object], shape: ModelSettings, path: Path
) -> Iterator[tuple[str, Tensor]]:
    for row in FAMILIES[shape.variant].rows:
        for layer in range(shape.n_layer) if "{}" in row.ours else (None,):
            for kind in ("weight", "bias"):
                name = f"{row.ours.format(layer)}.{kind}"
                if name in expected:
                    yield name, _import_tensor(tensors, row, layer, kind, shape.n_head, path)


def _import_tensor(
    tensors: Weights, row: TensorRow, layer: int | None, kind: str, heads: int, path: Path
) -> Tensor:
    names = [f"{name.format(layer)}.{kind}" for name in row.hf]
    try:
        parts = [FROM_LAYOUT[row.hf_layout](tensors[name], heads) for name in names]
        return torch.cat(parts).clone(memory_format=torch.contiguous_format)
    except KeyError as error:
        raise DataError(f"{path.name} has no tensor {error}") from None
    except (RuntimeError, IndexError):
        raise DataError(f"{path.name}: {names[0]} has the wrong shape") from None


def _split_heads(tensor: Tensor, heads: int) -> Tensor:
    """(3 H D, ...), rows grouped by head -> the same rows, all queries first."""
    parts = tensor.reshape(heads, 3, -1, *tensor.shape[1:])  # (H, 3, D, ...)
    return parts.transpose(0, 1).reshape(tensor.shape)


FROM_LAYOUT: dict[Layout, Callable[[Tensor, int], Tensor]] = {
    "ours": LAYOUTS["ours"],
    "transposed": LAYOUTS["transposed"],
    "by head": _split_heads,
}
