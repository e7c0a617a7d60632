"""Which steps may touch the weights: not those whose loss or gradient is not finite or far out.

A skipped step costs a batch. Several in a row mean that the weights are in a bad place: the run
goes back to its last saved state and on with half the rate. What was once gone back for is only
skipped when it comes again, so a poisoned stretch of data cannot hold a run for ever, and a change
that lasts becomes the usual.
"""

import math

from nielsgpt.checkpoint.contents import SpikeGuardState
from nielsgpt.config.settings import PhaseSettings

MEMORY = 0.99  # of the running mean and variance: about a hundred steps
SETTLED = 50  # steps before anything finite is called an outlier
MOST_ROLLBACKS = 8
HOPELESS = 10  # times the patience: skipped without an end, whatever was gone back for
WILD = 90.0  # times the usual: an outlier however noisy the run was
# What is judged; how many times its usual value is none however calm the run was; how much wider
# than asked the limit is. Gradients have heavy tails, and are clipped anyway.
JUDGED = (("loss", 1.25, 1.0), ("gradient norm", 5.0, 1.5))


class SpikeGuard:
    """Judges each step by its loss and its gradient's norm, both against their recent history.

    Both are judged by their logarithms: an outlier is `outlier_sigmas` above the running mean.
    """

    def __init__(self, phase_settings: PhaseSettings) -> None:
        self.sigmas, self.patience = phase_settings.outlier_sigmas, phase_settings.rollback_after
        self.seen, self.skipped = 0, 0
        self.means, self.variances = [0.0, 0.0], [0.0, 0.0]
        self.rate_scale, self.rollbacks, self.tried = 1.0, 0, -1

    def reason_to_skip(self, loss: float, norm: float) -> str | None:
        """Why this step must be skipped, or None."""
        if math.isfinite(loss) and math.isfinite(norm):
            figures = [math.log(max(value, 1e-12)) for value in (loss, norm)]
            limits = [self._limit(i) for i in range(len(JUDGED))]
            why = self._outlier((loss, norm), figures, limits)
            # An outlier counts as one at the limit: alone it changes little, in a row it is usual.
            self._learn([min(pair) for pair in zip(figures, limits, strict=True)])
        else:
            why = f"loss {loss:g} and gradient norm {norm:g} are not finite"
        self.skipped = self.skipped + 1 if why else 0
        return why

    def wants_rollback(self, step: int) -> bool:
        """True once, when `rollback_after` steps in a row before `step` were skipped."""
        new = step - self.skipped >= self.tried
        return self.skipped >= self.patience * (1 if new else HOPELESS)

    def roll_back(self, step: int) -> None:
        """Note that the run goes back from this step, at half the rate."""
        self.tried, self.rate_scale, self.skipped = step, self.rate_scale / 2, 0
        self.rollbacks += 1

    def _limit(self, i: int) -> float:
        """The bound for the logarithm of a figure."""
        if not self.sigmas or self.seen < SETTLED:
            return math.inf
        _, calm, wider = JUDGED[i]
        above = wider * self.sigmas * math.sqrt(self.variances[i])
        return self.means[i] + min(max(above, math.log(calm)), math.log(WILD))

    def _outlier(
        self, values: tuple[float, float], figures: list[float], limits: list[float]
    ) -> str | None:
        for (name, _, _), value, figure, limit, mean in zip(
            JUDGED, values, figures, limits, self.means, strict=True
        ):
            if figure > limit:
                return f"{name} {value:.4g}, {math.exp(figure - mean):.3g} times the usual"
        return None

    def _learn(self, figures: list[float]) -> None:
        self.seen += 1
        keep = min(MEMORY, 1 - 1 / self.seen)
        for i, figure in enumerate(figures):
            off = figure - self.means[i]
            self.means[i] += (1 - keep) * off
            self.variances[i] = keep * (self.variances[i] + (1 - keep) * off * off)

    def state(self) -> SpikeGuardState:
        """The values that a resumed run needs."""
        return {
            "seen": self.seen,
            "skipped": self.skipped,
            "rate_scale": self.rate_scale,
            "rollbacks": self.rollbacks,
            "tried": self.tried,
            "means": list(self.means),
            "variances": list(self.variances),
        }

    def load(self, state: SpikeGuardState) -> None:
        """Restore `state()`."""
        for name, value in state.items():
            setattr(self, name, list(value) if isinstance(value, list) else value)
