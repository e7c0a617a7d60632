"""A model's tensors with the names and layouts of its family, one after another."""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from nielsgpt.export.tensor_map import FAMILIES, Family, Layout, TensorRow
from nielsgpt.model.gpt import GPT

Target = Literal["hf", "gguf"]


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
