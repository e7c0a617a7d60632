"""A model's tensors under a family's names and in its layouts, one after another."""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from nielsgpt.export.tensor_map import FAMILIES, Family, Layout, TensorRow
from nielsgpt.model.gpt import GPT

Target = Literal["hf", "gguf"]


def family_of(model: GPT) -> Family:
    """The family that the model's variant is exported as."""
    return FAMILIES[model.shape.variant]


def export_tensors(model: GPT, target: Target) -> Iterator[tuple[str, Tensor]]:
    """Name and float32 numbers of every tensor of the export; biases that we lack are zeros.

    A tied head is written where llama.cpp asks for one, and nowhere else.
    """
    family, own = family_of(model), model.state_dict()
    for row in family.rows:
        for layer in range(model.n_layer) if "{}" in row.ours else (None,):
            yield from _of_row(own, family, row, layer, target, model.n_head)
    if target == "gguf" and family.gguf_head and model.unembedding is None:
        yield "output.weight", own["embedding.weight"]


def _of_row(
    own: dict[str, Tensor],
    family: Family,
    row: TensorRow,
    layer: int | None,
    target: Target,
    heads: int,
) -> Iterator[tuple[str, Tensor]]:
    ours = row.ours.format(layer)
    if f"{ours}.weight" not in own:
        return
    names = row.hf if target == "hf" else row.gguf
    weight = own[f"{ours}.weight"]
    whole = {"weight": weight}
    if family.bias and row.biased:
        whole["bias"] = own.get(f"{ours}.bias", weight.new_zeros(weight.size(0)))
    layouts = (row.hf_layout,) if target == "hf" else row.gguf_layouts
    for kind, tensor in whole.items():
        for number, (name, part) in enumerate(zip(names, tensor.chunk(len(names)), strict=True)):
            layout = layouts[number % len(layouts)]
            laid = LAYOUTS[layout](part, heads)
            yield f"{name.format(layer)}.{kind}", laid.clone(memory_format=torch.contiguous_format)


def _turn(tensor: Tensor, heads: int) -> Tensor:
    return tensor.mT if tensor.dim() == 2 else tensor


def _by_head(tensor: Tensor, heads: int) -> Tensor:
    """(3 H D, ...) with all queries first -> the same rows, those of one head together."""
    apart = tensor.reshape(3, heads, -1, *tensor.shape[1:])  # (3, H, D, ...)
    return apart.transpose(0, 1).reshape(tensor.shape)


def _interleave(tensor: Tensor, heads: int) -> Tensor:
    """(H D, ...) -> the same rows; in each head the first of one half, of the other, and so on."""
    halves = tensor.reshape(heads, 2, -1, *tensor.shape[1:])  # (H, 2, D/2, ...)
    return halves.transpose(1, 2).reshape(tensor.shape)


LAYOUTS: dict[Layout, Callable[[Tensor, int], Tensor]] = {
    "ours": lambda tensor, heads: tensor,
    "turned": _turn,
    "by head": _by_head,
    "interleaved": _interleave,
}
