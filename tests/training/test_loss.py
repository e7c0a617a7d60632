"""The chunked loss is cross-entropy, forward and backward."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

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


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_smoothing_is_cross_entropys_own(smoothing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CHUNK", 7)
    torch.manual_seed(0)
    hidden = torch.randn(19, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(30, 8, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(30, (19,))
    plain = F.cross_entropy(hidden @ weight.T, targets, reduction="sum", label_smoothing=smoothing)
    expected = torch.autograd.grad(plain, (hidden, weight))
    ours = linear_cross_entropy(hidden, weight, targets, smoothing)
    got = torch.autograd.grad(ours, (hidden, weight))
    torch.testing.assert_close(ours.double(), plain, atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_a_model_that_is_sure_keeps_its_small_gradient_in_bfloat16() -> None:
    """p - 1 is made before it is rounded: rounding p first would leave nothing of it."""
    hidden = torch.eye(8)[:2].bfloat16().requires_grad_()
    weight = torch.zeros(30, 8)
    weight[3, 0] = weight[4, 1] = 9.0
    linear_cross_entropy(hidden, weight.requires_grad_(), torch.tensor([3, 4])).backward()
    sure = 29 / (29 + math.exp(9.0))
    assert weight.grad is not None
    assert weight.grad[3, 0].item() == pytest.approx(-sure, rel=0.02)


def test_no_tensor_of_all_logits_is_ever_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CHUNK", 16)
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            made = function(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor):
                largest = max(largest, made.numel())
            return made

    hidden, weight = torch.randn(256, 8), torch.randn(300, 8)
    with Watch():
        total = linear_cross_entropy(
            hidden.requires_grad_(), weight.requires_grad_(), torch.randint(300, (256,))
        )
        total.backward()
    assert 16 * 300 <= largest < 2 * 16 * 300


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
