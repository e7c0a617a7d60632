"""A model's tensors with the names and layouts of its family, and back to ours."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nielsgpt.config.settings import ModelSettings
from nielsgpt.errors import DataError
from nielsgpt.export.tensor_map import FAMILIES, Family, Layout, TensorRow
from nielsgpt.model.gpt import GPT
from nielsgpt.system import machine

Target = Literal["hf", "gguf"]
Weights = dict[str, Tensor]


def find_family(model: GPT) -> Family:
    """The family of the model's variant."""
    return FAMILIES[model.shape.variant]


def export_tensors(model: GPT, target: Target) -> Iterator[tuple[str, Tensor]]:
    """Yields name and float32 tensor for all of the export; missing biases are zeros.

    A tied head is only included if llama.cpp needs it.
    """
    family, weights = find_family(model), model.state_dict()
    for row in family.rows:
        for layer in range(model.n_layer) if "{}" in row.ours else (None,):
            yield from _export_row(weights, family, row, layer, target, model.n_head)
    if target == "gguf" and family.gguf_head and model.unembedding is None:
        yield "output.weight", weights["embedding.weight"]


def _export_row(
    weights: dict[str, Tensor],
    family: Family,
    row: TensorRow,
    layer: int | None,
    target: Target,
    heads: int,
) -> Iterator[tuple[str, Tensor]]:
    module = row.ours.format(layer)
    if f"{module}.weight" not in weights:
        return
    names = row.hf if target == "hf" else row.gguf
    weight = weights[f"{module}.weight"]
    tensors = {"weight": weight}
    if family.bias and row.biased:
        tensors["bias"] = weights.get(f"{module}.bias", weight.new_zeros(weight.size(0)))
    layouts = (row.hf_layout,) if target == "hf" else row.gguf_layouts
    for kind, tensor in tensors.items():
        for number, (name, part) in enumerate(zip(names, tensor.chunk(len(names)), strict=True)):
            layout = layouts[number % len(layouts)]
            exported = LAYOUTS[layout](part, heads).clone(memory_format=torch.contiguous_format)
            yield f"{name.format(layer)}.{kind}", exported


def _transpose(tensor: Tensor, heads: int) -> Tensor:
    return tensor.mT if tensor.dim() == 2 else tensor


def _group_by_head(tensor: Tensor, heads: int) -> Tensor:
    """(3 H D, ...), all queries first -> the same rows grouped by head."""
    parts = tensor.reshape(3, heads, -1, *tensor.shape[1:])  # (3, H, D, ...)
    return parts.transpose(0, 1).reshape(tensor.shape)


def _interleave(tensor: Tensor, heads: int) -> Tensor:
    """(H D, ...) -> the same rows, with the two halves of each head alternating."""
    halves = tensor.reshape(heads, 2, -1, *tensor.shape[1:])  # (H, 2, D/2, ...)
    return halves.transpose(1, 2).reshape(tensor.shape)


LAYOUTS: dict[Layout, Callable[[Tensor, int], Tensor]] = {
    "ours": lambda tensor, heads: tensor,
    "transposed": _transpose,
    "by head": _group_by_head,
    "interleaved": _interleave,
}


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
