"""Three backends, and a torch model of the same shape, are one model: tensor by tensor."""

from collections.abc import Callable, Sequence
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nielsgpt.micro import backends
from nielsgpt.micro.adam import Adam
from nielsgpt.micro.backends import BACKENDS, GPT
from nielsgpt.micro.scenarios import Training
from nielsgpt.micro.weights import NORM_EPS, Shape, Weights

DOCUMENTS = [[6, 0, 1, 2, 6], [6, 5, 5, 5, 5, 5, 1, 0, 6], [6, 3], [6, 4, 3, 2, 1, 0], [0, 1, 2]]
CLOSE = 1e-10


def shape_of(n_layer: int) -> Shape:
    return Shape(n_embd=8, n_head=2, n_layer=n_layer, block_size=6, vocab_size=7)


class TorchGPT:
    """The reference: nothing but the forward pass; torch finds the gradients and moves."""

    def __init__(self, shape: Shape, weights: Weights, numbers: Training, updates: int) -> None:
        self.shape = shape
        self.matrices = {
            name: torch.tensor(matrix, dtype=torch.float64, requires_grad=True)
            for name, matrix in weights.items()
        }
        self.rates = Adam(updates, numbers)
        betas = (numbers.beta1, numbers.beta2)
        self.adam = torch.optim.Adam(self.matrices.values(), betas=betas, eps=numbers.eps_adam)

    def loss(self, ids: Sequence[int]) -> torch.Tensor:
        inputs = torch.tensor(ids[:-1])[: self.shape.block_size]
        targets = torch.tensor(ids[1:])[: self.shape.block_size]
        length, width = len(inputs), self.shape.n_embd
        matrices, norm = self.matrices, lambda x: F.rms_norm(x, (width,), eps=NORM_EPS)
        x = norm(matrices["wte"][inputs] + matrices["wpe"][:length])
        for layer in range(self.shape.n_layer):
            own = {n.split(".")[1]: m for n, m in matrices.items() if f"layer{layer}." in n}
            heads = [
                (norm(x) @ own[f"attn_w{letter}"].T).view(length, self.shape.n_head, -1)
                for letter in "qkv"
            ]
            q, k, v = (head.transpose(0, 1) for head in heads)
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + mixed.transpose(0, 1).reshape(length, width) @ own["attn_wo"].T
            x = x + F.relu(norm(x) @ own["mlp_fc1"].T) ** 2 @ own["mlp_fc2"].T
        return F.cross_entropy(x @ matrices["lm_head"].T, targets)

    def backward(self, ids: Sequence[int], share: float) -> float:
        loss = self.loss(ids)
        torch.autograd.backward(loss * share)
        return loss.item()

    def update(self) -> None:
        for group in self.adam.param_groups:
            group["lr"] = self.rates.rate(self.rates.step)
        self.rates.step += 1
        self.adam.step()
        self.adam.zero_grad()


def assert_equal(found: Weights, reference: dict[str, torch.Tensor]) -> None:
    for name, tensor in reference.items():
        expected = tensor.detach().numpy()
        size = np.linalg.norm(expected)
        assert size > 0, name
        assert np.linalg.norm(np.subtract(found[name], expected)) <= CLOSE * size, name


@pytest.mark.parametrize("n_layer", [1, 2])
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_and_weights_are_those_of_torch_over_many_updates(
    backend: str, n_layer: int, lively: Callable[..., Weights]
) -> None:
    shape, numbers = shape_of(n_layer), Training(num_steps=4)
    weights = lively(shape)
    model, adam = backends.make(backend, shape, weights), Adam(4, numbers)
    torch_model = TorchGPT(shape, weights, numbers, 4)
    for update in range(4):
        for ids in DOCUMENTS[update:] + DOCUMENTS[:update]:
            reference = torch_model.backward(ids, 0.2)
            assert model.forward(ids) == pytest.approx(reference, rel=1e-12)
            model.backward(0.2)
        gradients = {n: m.grad for n, m in torch_model.matrices.items() if m.grad is not None}
        assert_equal(model.gradients(), gradients)
        torch_model.update()
        adam.update(model.leaves())
        assert_equal(model.weights(), torch_model.matrices)


def loss_at(backend: str, shape: Shape, weights: Weights, ids: Sequence[int]) -> float:
    return backends.make(backend, shape, weights).forward(ids)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["wte", "wpe", "lm_head", "layer0.attn_wk", "layer1.mlp_fc1"])
def test_a_small_push_moves_the_loss_by_its_gradient(
    backend: str, name: str, lively: Callable[..., Weights]
) -> None:
    shape, ids, push = shape_of(2), DOCUMENTS[1], 1e-5
    weights = lively(shape)
    model = backends.make(backend, shape, weights)
    model.forward(ids)
    model.backward()
    rows = np.abs(model.gradients()[name])
    row, column = map(int, np.unravel_index(rows.argmax(), rows.shape))
    losses = []
    for sign in (1.0, -1.0):
        pushed = {n: [list(r) for r in matrix] for n, matrix in weights.items()}
        pushed[name][row][column] += sign * push
        losses.append(loss_at("numpy", shape, pushed, ids))
    slope = (losses[0] - losses[1]) / (2 * push)
    assert model.gradients()[name][row][column] == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_second_backward_adds_the_same_gradient_again(
    backend: str, lively: Callable[..., Weights]
) -> None:
    model = backends.make(backend, shape_of(1), lively(shape_of(1)))
    model.forward(DOCUMENTS[0])
    model.backward()
    once = {name: 2.0 * np.array(matrix) for name, matrix in model.gradients().items()}
    model.backward()
    for name, matrix in model.gradients().items():
        np.testing.assert_allclose(matrix, once[name], rtol=1e-14, atol=1e-17)


@pytest.mark.parametrize("backend", BACKENDS)
def test_reading_token_by_token_foretells_what_a_whole_document_does(
    backend: str, lively: Callable[..., Weights]
) -> None:
    shape = shape_of(2)
    model: GPT = backends.make(backend, shape, lively(shape))
    for ids in DOCUMENTS:
        losses = []
        model.restart()
        for token, target in islice(pairwise(ids), shape.block_size):
            logits = torch.tensor(model.read(token), dtype=torch.float64)
            losses.append(-torch.log_softmax(logits, 0)[target].item())
        assert model.forward(ids) == pytest.approx(sum(losses) / len(losses), rel=1e-12)
