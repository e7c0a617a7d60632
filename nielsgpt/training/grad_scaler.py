"""The scale of the loss where products are float16: small gradients must not vanish in them.

The scale halves when a gradient overflows and doubles after 2,000 steps without one (Micikevicius
et al. 2018). Other precisions have the scale 1, which never moves.
"""

import torch

from nielsgpt.checkpoint.contents import GradScalerState

FIRST, MOST, PATIENCE = 2.0**14, 2.0**20, 2000


class GradScaler:
    """The factor of the loss before the backward pass."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.moves = dtype == torch.float16
        self.value, self.calm = (FIRST if self.moves else 1.0), 0

    def check_overflow(self, finite: bool) -> bool:
        """Take note of a step; true where its gradient overflowed and a smaller scale may help."""
        if not self.moves:
            return False
        if not finite:
            helps = self.value > 1.0
            self.value, self.calm = max(1.0, self.value / 2), 0
            return helps
        self.calm += 1
        if self.calm == PATIENCE and self.value < MOST:
            self.value, self.calm = self.value * 2, 0
        return False

    def state(self) -> GradScalerState:
        """The values that a resumed run needs."""
        return {"value": self.value, "calm": self.calm}

    def load(self, state: GradScalerState) -> None:
        """Restore `state()`."""
        if self.moves:
            self.value, self.calm = float(state["value"]), int(state["calm"])
