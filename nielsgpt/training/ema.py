"""A running mean of the weights: often better than the weights themselves, and smoother.

Early on the mean forgets faster, with decay (1 + t) / (10 + t), so that it does not drag the random
start along (Polyak and Juditsky 1992; the ramp as in TensorFlow's ExponentialMovingAverage).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nielsgpt.checkpoint.contents import EMAState


class EMA:
    """The mean of a model's weights over its steps."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self._names = [name for name, _ in model.named_parameters()]
        self._live = list(model.parameters())
        self._mean = [p.detach().clone() for p in self._live]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights of one more step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self._mean, [p.detach() for p in self._live], 1 - decay)

    @contextmanager
    def apply(self) -> Iterator[None]:
        """The model with the mean as its weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for live, mean in zip(self._live, self._mean, strict=True):
            kept = live.detach().clone()
            live.copy_(mean)
            mean.copy_(kept)

    def weights(self) -> dict[str, Tensor]:
        """The mean by the parameters' names."""
        return dict(zip(self._names, self._mean, strict=True))

    def state(self) -> EMAState:
        """The values that a resumed run needs."""
        return {"updates": self.updates, "weights": self.weights()}

    @torch.no_grad()
    def load(self, state: EMAState) -> None:
        """Restore `state()`."""
        self.updates = int(state["updates"])
        for mean, name in zip(self._mean, self._names, strict=True):
            mean.copy_(state["weights"][name])
