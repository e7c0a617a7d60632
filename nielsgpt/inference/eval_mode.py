"""Evaluation mode as a context manager."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def eval_mode(model: torch.nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode, and afterwards back in the mode it had."""
    if not model.training:
        yield
        return
    model.eval()
    try:
        yield
    finally:
        model.train()
