"""Muon: the numbers of torch's own, batched over equal shapes."""

from itertools import starmap

import pytest
import torch
from torch import nn
from torch.optim import _muon

from nielsgpt.training.muon import Muon, orthogonalize

SHAPES = [(24, 8), (8, 8), (8, 24), (24, 8), (8, 24), (40, 16)]


def matrices() -> list[nn.Parameter]:
    torch.manual_seed(3)
    return [nn.Parameter(torch.randn(shape)) for shape in SHAPES]


def test_many_steps_are_those_of_torchs_muon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's iteration always runs in bfloat16; here both run in float32."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self)
    assert hasattr(_muon, "_zeropower_via_newtonschulz")
    mine, theirs = matrices(), matrices()
    ours = Muon(mine, 0.02, 0.1, dtype=torch.float32)
    oracle = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1)
    for step in range(6):
        torch.manual_seed(step)
        for a, b in zip(mine, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        ours.step()
        oracle.step()
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=2e-5)


def test_the_update_is_nearly_orthogonal() -> None:
    torch.manual_seed(0)
    for shape in [(3, 32, 8), (3, 8, 32), (2, 16, 16)]:
        factors = orthogonalize(torch.randn(shape), torch.float32)
        sizes = torch.linalg.svdvals(factors)
        assert sizes.min() > 0.3
        assert sizes.max() < 1.3


def test_a_batch_is_its_matrices_one_by_one() -> None:
    torch.manual_seed(0)
    batch = torch.randn(4, 12, 20)
    alone = torch.stack([orthogonalize(m[None], torch.float32)[0] for m in batch])
    torch.testing.assert_close(orthogonalize(batch, torch.float32), alone, atol=1e-5, rtol=1e-5)


def test_bfloat16_products_point_the_same_way() -> None:
    torch.manual_seed(0)
    batch = torch.randn(2, 32, 64)
    rough, exact = (orthogonalize(batch, kind).float() for kind in (torch.bfloat16, torch.float32))
    assert torch.cosine_similarity(rough.flatten(), exact.flatten(), dim=0) > 0.995


def test_cautious_decay_spares_what_the_update_makes_larger() -> None:
    weight, gradient = (
        torch.tensor([[1.0, -1.0], [1.0, 2.0]]),
        torch.tensor([[1.0, 1.0], [-1.0, 0.5]]),
    )
    ends = {}
    for cautious in (False, True):
        p = nn.Parameter(weight.clone())
        p.grad = gradient.clone()
        Muon([p], 0.1, 1.0, cautious=cautious, dtype=torch.float32).step()
        ends[cautious] = p.detach()
    update = orthogonalize(gradient[None], torch.float32)[0]
    towards_zero = update * weight > 0
    plain = weight * (1 - 0.1) - 0.1 * update
    careful = torch.where(towards_zero, weight * (1 - 0.1), weight) - 0.1 * update
    torch.testing.assert_close(ends[False], plain)
    torch.testing.assert_close(ends[True], careful)
    assert towards_zero.any()
    assert not towards_zero.all()


def test_a_resumed_muon_goes_on_with_its_momentum() -> None:
    runs = []
    for stop in (None, 2):
        held = matrices()
        optimizer = Muon(held, 0.02, 0.0, dtype=torch.float32)
        for step in range(4):
            if step == stop:
                state = optimizer.state_dict()
                optimizer = Muon(held, 0.02, 0.0, dtype=torch.float32)
                optimizer.load_state_dict(state)
            torch.manual_seed(step)
            for p in held:
                p.grad = torch.randn_like(p)
            optimizer.step()
        runs.append(held)
    assert all(starmap(torch.equal, zip(*runs, strict=True)))
