"""A model put into evaluation mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def eval_mode(model: torch.nn.Module) -> Iterator[None]:
    """The model in evaluation mode, and afterwards in the mode that it had."""
    if not model.training:
        yield
        return
    model.eval()
    try:
        yield
    finally:
        model.train()
