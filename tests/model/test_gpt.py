"""Truths of the network that hold for every variant."""

from collections.abc import Callable

import pytest
import torch

from nielsgpt.model.gpt import GPT, flops_per_token, parameter_count
from nielsgpt.model.variants import VARIANTS

Lively = Callable[..., GPT]
every_variant = pytest.mark.parametrize("variant", VARIANTS)


@every_variant
def test_no_position_sees_a_later_one(variant: str, lively: Lively) -> None:
    model = lively(variant)
    ids = torch.randint(300, (1, 12))
    changed = ids.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 300
    before, after = model(ids), model(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7:], after[:, 7:])


@every_variant
def test_every_earlier_position_reaches_the_last_one(variant: str, lively: Lively) -> None:
    model = lively(variant)
    seen: list[torch.Tensor] = []
    model.embedding.register_forward_hook(
        lambda *call: seen.append(call[2]) or call[2].retain_grad()
    )
    model(torch.randint(300, (1, 12)))[0, 5].sum().backward()
    reach = seen[0].grad[0].abs().sum(-1)  # type: ignore[index]
    assert bool((reach[:6] > 0).all())
    assert bool((reach[6:] == 0).all())


@every_variant
def test_plain_and_fused_attention_mean_the_same(variant: str, lively: Lively) -> None:
    model = lively(variant)
    ids = torch.randint(300, (2, 16))
    results = []
    for form in ("plain", "fused"):
        model.set_attention(form)  # type: ignore[arg-type]
        model.zero_grad()
        logits = model(ids)
        logits.square().mean().backward()
        results.append([logits, *(p.grad for p in model.parameters())])
    for plain, fused in zip(*results, strict=True):
        torch.testing.assert_close(plain, fused, atol=2e-5, rtol=2e-4)


@every_variant
def test_recomputing_blocks_does_not_change_gradients(variant: str, lively: Lively) -> None:
    model = lively(variant).train()
    ids = torch.randint(300, (2, 16))
    gradients = []
    for recompute in (False, True):
        model.checkpointing = recompute
        model.zero_grad()
        model(ids).square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(list(model.parameters()))
    for plain, recomputed in zip(*gradients, strict=True):
        assert torch.equal(plain, recomputed)


@every_variant
def test_a_tied_head_is_one_matrix_and_counts_once(variant: str, lively: Lively) -> None:
    tied, untied = lively(variant), lively(variant, tied=False)
    assert tied.head_weight is tied.embedding.weight
    assert parameter_count(untied) - parameter_count(tied) == 300 * 32
    assert flops_per_token(untied) == flops_per_token(tied)


def test_the_rows_of_the_table_are_what_the_model_is_made_of(lively: Lively) -> None:
    for name, row in VARIANTS.items():
        model = lively(name)
        names = [key for key, _ in model.named_parameters()]
        assert any("positions" in key for key in names) == (row.position == "learned")
        assert any(key.endswith(".bias") for key in names) == row.bias
        assert any("q_norm" in key for key in names) == row.qk_norm
        assert any("gate_up" in key for key in names) == (row.mlp == "swiglu")


def test_llamas_parameter_count_follows_from_its_shape(lively: Lively) -> None:
    C, L, V, inner = 32, 2, 300, 128
    expected = V * C + L * (4 * C * C + 3 * C * inner + 2 * C) + C
    assert parameter_count(lively("gpt_plus")) == expected


def test_rotary_scores_depend_on_distance_alone() -> None:
    from nielsgpt.model.layers import rotary_table, rotate

    table = rotary_table(32, 8, 10_000.0)
    q, k = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)
    scores = [
        (rotate(q, table[:, at : at + 1]) * rotate(k, table[:, at - 3 : at - 2])).sum()
        for at in (3, 10, 31)
    ]
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(scores[0], scores[2], atol=1e-5, rtol=1e-4)
