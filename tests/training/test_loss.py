"""The chunked loss is cross-entropy, forward and backward."""

import pytest
import torch
import torch.nn.functional as F

from nielsgpt.training import loss
from nielsgpt.training.loss import linear_cross_entropy


@pytest.mark.parametrize("ignored", [0, 5, 19])
def test_the_chunked_loss_equals_plain_cross_entropy(
    ignored: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CHUNK", 7)
    torch.manual_seed(0)
    hidden = torch.randn(4, 5, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(30, 8, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(30, (4, 5))
    targets.view(-1)[:ignored] = -100
    plain = F.cross_entropy((hidden @ weight.T).view(-1, 30), targets.view(-1), reduction="sum")
    expected = torch.autograd.grad(plain / 3, (hidden, weight))
    ours = linear_cross_entropy(hidden, weight, targets)
    got = torch.autograd.grad(ours / 3, (hidden, weight))
    torch.testing.assert_close(ours.double(), plain, atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


def test_evaluation_computes_no_gradient() -> None:
    weight = torch.randn(30, 8, requires_grad=True)
    with torch.no_grad():
        total = linear_cross_entropy(torch.randn(6, 8), weight, torch.randint(30, (6,)))
    assert total.grad_fn is None


def test_bfloat16_hidden_states_give_nearly_the_same_loss() -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(64, 32), torch.randn(100, 32) * 0.1
    targets = torch.randint(100, (64,))
    exact = linear_cross_entropy(hidden, weight, targets)
    rough = linear_cross_entropy(hidden.bfloat16(), weight, targets)
    assert abs(exact - rough) / exact < 0.005
