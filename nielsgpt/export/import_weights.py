"""The way back: a family's tensors in a file, under our names and in our layout again."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nielsgpt.config.settings import ModelSettings
from nielsgpt.errors import DataError
from nielsgpt.export.tensor_map import FAMILIES, Layout, TensorRow
from nielsgpt.model.gpt import GPT
from nielsgpt.system import machine

Weights = dict[str, Tensor]


def weights(path: Path, shape: ModelSettings, vocab_size: int) -> Weights:
    """The state of a model of this shape, number for number as it was before its export.

    Zeros that stand for biases that we lack stay behind. Raises DataError where the file is broken
    or holds another shape, before a model of that shape is made.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path.name} is no safetensors file that can be read ({error})") from None
    if shape.n_layer > len(tensors):
        raise DataError(f"{path.name} has not the tensors of {shape.n_layer} blocks")
    expected = _expected(shape, vocab_size)
    found = dict(_ours(tensors, expected, shape, path))
    for name, (dimensions, dtype) in expected.items():
        if name not in found or (found[name].shape, found[name].dtype) != (dimensions, dtype):
            raise DataError(f"{path.name} has not the {name} of a model of the shape that is told")
    return found


def _expected(shape: ModelSettings, vocab_size: int) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """The shape and dtype of each tensor of such a model, without the memory of one."""
    with torch.device("meta"):
        model = GPT(shape, vocab_size)
    needed = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    free = machine.available_bytes()
    if needed > free:
        raise DataError(
            f"the model takes {needed // 2**20:,} MiB of memory and {free // 2**20:,} MiB are free"
        )
    return {name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}


def _ours(
    tensors: Weights, expected: Mapping[str, object], shape: ModelSettings, path: Path
) -> Iterator[tuple[str, Tensor]]:
    for row in FAMILIES[shape.variant].rows:
        for layer in range(shape.n_layer) if "{}" in row.ours else (None,):
            for kind in ("weight", "bias"):
                name = f"{row.ours.format(layer)}.{kind}"
                if name in expected:
                    yield name, _join(tensors, row, layer, kind, shape.n_head, path)


def _join(
    tensors: Weights, row: TensorRow, layer: int | None, kind: str, heads: int, path: Path
) -> Tensor:
    names = [f"{name.format(layer)}.{kind}" for name in row.hf]
    try:
        parts = [BACK[row.hf_layout](tensors[name], heads) for name in names]
        return torch.cat(parts).clone(memory_format=torch.contiguous_format)
    except KeyError as error:
        raise DataError(f"{path.name} has no tensor {error}") from None
    except (RuntimeError, IndexError):
        raise DataError(f"{path.name} has a {names[0]} of a shape that fits nothing") from None


def _turn(tensor: Tensor, heads: int) -> Tensor:
    return tensor.mT if tensor.dim() == 2 else tensor


def _by_part(tensor: Tensor, heads: int) -> Tensor:
    """(3 H D, ...) with the rows of one head together -> the same rows, all queries first."""
    apart = tensor.reshape(heads, 3, -1, *tensor.shape[1:])  # (H, 3, D, ...)
    return apart.transpose(0, 1).reshape(tensor.shape)


BACK: dict[Layout, Callable[[Tensor, int], Tensor]] = {
    "ours": lambda tensor, heads: tensor,
    "turned": _turn,
    "by head": _by_part,
}
