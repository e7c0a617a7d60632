"""Muon: momentum whose matrix updates are made orthogonal (Jordan et al. 2024).

All matrices of one shape go through the Newton-Schulz iteration as one batch. The numbers are those
of `torch.optim.Muon`: Nesterov momentum 0.95, five iterations with the quintic's coefficients
below, rate times sqrt(max(1, rows / columns)).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
EPS = 1e-7


class Muon(torch.optim.Optimizer):
    """The optimizer of a block's matrices; `dtype` is that of the iteration's products."""

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
        cautious: bool = False,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        numbers = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(list(matrices), {**numbers, "cautious": cautious})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            held = [p for p in group["params"] if p.grad is not None]
            for p in held:
                if "momentum_buffer" not in self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            momenta = [self.state[p]["momentum_buffer"] for p in held]
            gradients = [p.grad for p in held]
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            wanted = torch._foreach_lerp(gradients, momenta, group["momentum"])
            for place, batch in _group_by_shape(list(wanted)):
                updates = orthogonalize(batch, self.dtype)
                for p, update in zip([held[i] for i in place], updates, strict=True):
                    self._apply(p, update.view_as(p), group)

    def _apply(self, p: Tensor, update: Tensor, group: dict[str, float]) -> None:
        rate, decay = group["lr"], group["lr"] * group["weight_decay"]
        if decay and group["cautious"]:
            p.sub_(decay * p * (update * p > 0))
        elif decay:
            p.mul_(1 - decay)
        p.add_(update, alpha=-rate * max(1.0, p.size(0) / p.size(1)) ** 0.5)


def _group_by_shape(matrices: list[Tensor]) -> Iterator[tuple[list[int], Tensor]]:
    """The matrices of each shape as one batch, with their places in the list."""
    places: dict[torch.Size, list[int]] = defaultdict(list)
    for place, matrix in enumerate(matrices):
        places[matrix.shape].append(place)
    for found in places.values():
        yield found, torch.stack([matrices[i] for i in found])  # (n, rows, columns)


def orthogonalize(batch: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Nearly the orthogonal factor U V' of each matrix U S V' of (n, rows, columns)."""
    tall = batch.size(-2) > batch.size(-1)
    x = batch.to(dtype)
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=EPS)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT  # (n, rows, rows)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
