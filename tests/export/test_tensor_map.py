"""Every number of a model goes out once, under a name of the family's, in the family's layout."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nielsgpt.export.tensor_map import FAMILIES
from nielsgpt.export.tensors import LAYOUTS, export_tensors
from nielsgpt.model.gpt import GPT
from nielsgpt.model.layers import rotary_table, rotate
from nielsgpt.model.variants import VARIANTS

Lively = Callable[..., GPT]
every_variant = pytest.mark.parametrize("variant", VARIANTS)
heads = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])


def numbers(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors]).sort().values


def test_every_variant_has_its_table() -> None:
    assert list(FAMILIES) == list(VARIANTS)


@heads
@every_variant
@pytest.mark.parametrize("target", ["hf", "gguf"])
def test_every_number_is_exported_once_and_nothing_else_but_zero_biases(
    target: str, variant: str, tied: bool, lively: Lively
) -> None:
    model = lively(variant, tied=tied)
    out = list(export_tensors(model, target))  # type: ignore[arg-type]
    assert max(Counter(name for name, _ in out).values()) == 1
    extra = [t for name, t in out if name.endswith(".bias") and not VARIANTS[variant].bias]
    assert all(not tensor.any() for tensor in extra)
    kept = [t for _, t in out if not any(t is zeros for zeros in extra)]
    own = [parameter.detach() for parameter in model.parameters()]
    if (target, variant, tied) == ("gguf", "gpt_rope", True):  # llama.cpp wants the head there
        own.append(model.head_weight.detach())
    assert torch.equal(numbers(kept), numbers(own))


@every_variant
def test_what_is_exported_shares_no_memory_with_the_model(variant: str, lively: Lively) -> None:
    model = lively(variant)
    before = model(torch.arange(8)[None])
    for name, tensor in export_tensors(model, "hf"):
        assert tensor.is_contiguous(), name
        if tensor.data_ptr() != model.embedding.weight.data_ptr():
            tensor.zero_()
    assert torch.equal(model(torch.arange(8)[None]), before)


def test_rotating_neighbors_of_interleaved_rows_equals_rotating_halves() -> None:
    heads, width, positions = 3, 8, 5
    weight = torch.randn(heads * width, 16)
    x = torch.randn(positions, 16)
    table = rotary_table(positions, width, 10_000.0)

    def split(rows: Tensor) -> Tensor:  # (H, T, D)
        return (x @ rows.mT).view(positions, heads, width).transpose(0, 1)

    ours = rotate(split(weight)[None], table)[0]
    apart = split(LAYOUTS["interleaved"](weight, heads)).unflatten(-1, (-1, 2))
    turned = torch.view_as_complex(apart.contiguous()) * torch.complex(table[0], table[1])
    halves = torch.cat([turned.real, turned.imag], dim=-1)
    torch.testing.assert_close(halves, ours)


def test_by_head_groups_the_query_key_and_value_of_each_head() -> None:
    heads, width = 2, 3
    names = [(part, head, d) for part in "qkv" for head in range(heads) for d in range(width)]
    laid = LAYOUTS["by head"](torch.arange(len(names)), heads)
    expected = sorted(names, key=lambda name: (name[1], "qkv".index(name[0]), name[2]))
    assert [names[int(index)] for index in laid] == expected
