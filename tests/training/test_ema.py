"""The running mean of the weights equals its formula and gives the weights back."""

import pytest
import torch
from torch import nn

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.training.ema import EMA


def walked(average: EMA, model: nn.Linear, steps: int) -> torch.Tensor:
    """The mean by its formula, beside `steps` updates of random weights."""
    expected = model.weight.detach().clone().double()
    for step in range(1, steps + 1):
        with torch.no_grad():
            model.weight.add_(torch.randn_like(model.weight))
        average.update()
        decay = min(average.decay, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach().double()
    return expected


def test_the_mean_equals_its_formula_also_in_its_ramp() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 4, bias=False)
    average = EMA(model, 0.9)
    expected = walked(average, model, 120)
    torch.testing.assert_close(average.weights()["weight"].double(), expected, atol=1e-5, rtol=0)


def test_applied_lends_the_mean_and_gives_the_weights_back_also_after_an_error() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 4, bias=False)
    average = EMA(model, 0.5)
    walked(average, model, 5)
    own, mean = model.weight.detach().clone(), average.weights()["weight"].clone()
    with pytest.raises(KeyError), average.apply():
        assert torch.equal(model.weight, mean)
        raise KeyError
    assert torch.equal(model.weight, own)
    assert torch.equal(average.weights()["weight"], mean)


def test_a_mean_goes_on_from_its_state() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 4, bias=False)
    average = EMA(model, 0.9)
    walked(average, model, 5)
    other = EMA(model, 0.9)
    other.load(checkpoint_file.snapshot(average.state()))
    for one in (average, other):
        one.update()
    assert torch.equal(average.weights()["weight"], other.weights()["weight"])
    assert other.updates == average.updates == 6


def test_the_mean_is_what_a_checkpoint_keeps_to_talk_with() -> None:
    model = nn.Linear(3, 4, bias=False)
    average = EMA(model, 0.9)
    with torch.no_grad():
        model.weight.add_(1.0)
    state = {"weights": model.state_dict(), "average": average.state()}
    assert torch.equal(checkpoint_file.kept_weights(state)["weight"], average.weights()["weight"])
    state["average"] = None
    assert torch.equal(checkpoint_file.kept_weights(state)["weight"], model.weight)
