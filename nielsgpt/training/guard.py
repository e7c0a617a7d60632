"""Which steps may touch the weights: not those whose loss or gradient is not finite or far out.

A skipped step costs a batch. Several in a row mean that the weights are in a bad place: the run
goes back to its last saved state and on with half the rate. What was once gone back for is only
skipped when it comes again, so a poisoned stretch of data cannot hold a run for ever.
"""

import math
from collections.abc import Mapping
from typing import Any

from nielsgpt.settings import PhaseSettings

MEMORY = 0.98  # of the running mean and variance: about fifty steps
SETTLED = 50  # steps before anything finite is called an outlier
MOST_ROLLBACKS = 8
Figures = tuple[float, float]


class Guard:
    """Judges each step by its loss and its gradient's norm, both against their recent history."""

    def __init__(self, phase: PhaseSettings) -> None:
        self.sigmas, self.patience = phase.outlier_sigmas, phase.rollback_after
        self.seen, self.skipped = 0, 0
        self.means, self.variances = [0.0, 0.0], [0.0, 0.0]
        self.rate_scale, self.rollbacks, self.tried = 1.0, 0, -1

    def judge(self, loss: float, norm: float) -> str | None:
        """Why this step must be skipped, or None: then it counts as usual from now on."""
        why = self._fault(loss, norm)
        if why is None:
            self._learn((math.log(max(loss, 1e-12)), math.log(max(norm, 1e-12))))
            self.skipped = 0
        else:
            self.skipped += 1
        return why

    def wants_rollback(self, step: int) -> bool:
        """Whether so many steps in a row were skipped, where none had been before."""
        return self.skipped >= self.patience and step > self.tried

    def roll_back(self, step: int) -> None:
        """Note that the run goes back from this step, at half the rate."""
        self.tried, self.rate_scale, self.skipped = step, self.rate_scale / 2, 0
        self.rollbacks += 1

    def _fault(self, loss: float, norm: float) -> str | None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return f"loss {loss:g} and gradient norm {norm:g} are not finite"
        if not self.sigmas or self.seen < SETTLED:
            return None
        figures = (math.log(max(loss, 1e-12)), math.log(max(norm, 1e-12)))
        for name, value, figure, mean, variance in zip(
            ("loss", "gradient norm"),
            (loss, norm),
            figures,
            self.means,
            self.variances,
            strict=True,
        ):
            # A hundredth of a nat in the logarithm: a run as smooth as glass has no outliers.
            deviation = max(math.sqrt(variance), 0.01)
            if figure > mean + self.sigmas * deviation:
                return f"{name} {value:.4g} is {(figure - mean) / deviation:.0f} sigmas out"
        return None

    def _learn(self, figures: Figures) -> None:
        self.seen += 1
        keep = min(MEMORY, 1 - 1 / self.seen)
        for i, figure in enumerate(figures):
            off = figure - self.means[i]
            self.means[i] += (1 - keep) * off
            self.variances[i] = keep * (self.variances[i] + (1 - keep) * off * off)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        names = ("seen", "skipped", "rate_scale", "rollbacks", "tried")
        lists = {"means": list(self.means), "variances": list(self.variances)}
        return {name: getattr(self, name) for name in names} | lists

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        for name, value in state.items():
            setattr(self, name, list(value) if isinstance(value, list) else value)
