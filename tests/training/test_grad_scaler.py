"""The scale of a float16 loss: halves where it overflows, comes back, and never moves elsewhere."""

import torch

from nielsgpt.training.grad_scaler import FIRST, MOST, PATIENCE, GradScaler


def test_other_precisions_have_no_scale() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        scale = GradScaler(dtype)
        assert not scale.check_overflow(finite=False)
        assert scale.value == 1.0


def test_an_overflow_halves_the_scale_down_to_one_and_then_is_none() -> None:
    scale = GradScaler(torch.float16)
    halvings = 0
    while scale.check_overflow(finite=False):
        halvings += 1
    assert 2.0**halvings == FIRST
    assert scale.value == 1.0


def test_calm_steps_double_it_up_to_the_most() -> None:
    scale = GradScaler(torch.float16)
    for _ in range(PATIENCE):
        assert not scale.check_overflow(finite=True)
    assert scale.value == 2 * FIRST
    for _ in range(30 * PATIENCE):
        scale.check_overflow(finite=True)
    assert scale.value == MOST


def test_a_scale_goes_on_from_its_state() -> None:
    scale, other = GradScaler(torch.float16), GradScaler(torch.float16)
    scale.check_overflow(finite=False)
    for _ in range(PATIENCE - 1):
        scale.check_overflow(finite=True)
    other.load(scale.state())
    other.check_overflow(finite=True)
    assert other.value == FIRST
