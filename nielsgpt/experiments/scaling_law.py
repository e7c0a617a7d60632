"""A scaling law: loss as a function of size, data and batch, fitted to a few short runs.

    loss = E + A / N^a + K / D^b,   D = N^c effective(tokens) / (1 + batch / critical)

N are the parameters that the text can make use of (data_budget.py); E, A and K are not negative
(Hoffmann et al. 2022). A larger model gains more from each token, c, long before its size limits
it: short runs show the former, long runs the latter. What short runs cannot show comes from the
literature: at twenty tokens per parameter, size contributes about as much loss as data (ibid.),
which ties A to K. Repeated tokens count less: effective(D) = U + U R (1 - exp(-(D / U - 1) / R))
with R = 15.4 (Muennighoff et al. 2023). A batch of the critical size wastes half of its tokens
(McCandlish et al. 2018), and that size grows with the tokens to the power 0.47 (Zhang et al. 2024).

A few short runs do not determine that many coefficients, so this fits a distribution of laws, not
one: the exponents, the critical batch and the noise lie on a grid with priors; at each grid point
E, A and K are a Bayesian linear regression in closed form; forecasts are drawn from all grid points
by their weight.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
REPEATS = 15.387756  # R, fitted by Muennighoff et al. 2023
GROWTH = 0.47  # power of the tokens with which the critical batch grows
SIZE_EXPONENTS = (0.2, 0.3, 0.4, 0.55, 0.75)
DATA_EXPONENTS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0)
CRITICAL = (0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0, 30.0)  # times the median batch, at median tokens
GAINS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.8)  # c
NOISE = (0.006, 0.012, 0.024, 0.048, 0.096)  # of a run's loss
BALANCE = 20.0  # tokens per parameter
# Mean and standard deviation of the priors: of the exponents, of ln(critical), of c, and, as shares
# of the lowest loss, of E, of A beyond the balance, and of K.
EXPONENT_PRIOR = (0.35, 0.25)
LN_CRITICAL_PRIOR = (math.log(2.0), 1.2)
GAIN_PRIOR = (0.3, 0.4)
MEANS, DEVIATIONS = np.array([0.3, 0.0, 0.5]), np.array([0.35, 0.03, 0.5])
# The error of the law itself, as a share of the loss: for a single run for each e-fold of tokens,
# for all runs together for each e-fold of parameters times tokens beyond the fitted ones
# (measured by benchmarks/plan.py, docs/lab-log.md).
DRIFT = 0.03
DRAWS = 2000
SAMPLES = 100  # of E, A and K at each grid point
SEED = 0


@dataclass(frozen=True)
class TrainingPoint:
    """A run: effective parameters, tokens, tokens of a step, and effective tokens."""

    params: float
    tokens: float
    batch_tokens: float
    effective_tokens: float


@dataclass(frozen=True)
class LossForecast:
    """Losses of several runs, drawn jointly: `draws` (draws, runs)."""

    draws: Array

    @property
    def median(self) -> Array:
        """The median loss of each run, (runs,)."""
        return np.asarray(np.median(self.draws, axis=0))

    def interval(self, probability: float) -> tuple[Array, Array]:
        """The bounds, (runs,) each, between which each run lies with this probability."""
        quantiles = [(1 - probability) / 2, (1 + probability) / 2]
        low, high = np.quantile(self.draws, quantiles, axis=0)
        return low, high

    def wins(self, first: int, second: int) -> float:
        """The probability that the first run ends with a lower loss than the second."""
        return float((self.draws[:, first] < self.draws[:, second]).mean())


class ScalingLaw:
    """The distribution of scaling laws that agree with the losses of some runs."""

    def __init__(self, runs: Sequence[TrainingPoint], losses: Sequence[float]) -> None:
        self.scale = min(losses)
        self.medians = np.median(_to_table(runs), axis=0)  # of the runs, by column
        self.max_tokens = max(run.tokens for run in runs)
        self.max_compute = max(run.params * run.tokens for run in runs)
        axes = SIZE_EXPONENTS, DATA_EXPONENTS, CRITICAL, GAINS, NOISE
        self.grid: Array = np.array(list(itertools.product(*axes)))
        evidence = self._fit_regressions(runs, np.array(losses) / self.scale)
        evidence += _log_prior(self.grid)
        generator = np.random.default_rng(SEED)
        samples = generator.standard_normal((SAMPLES, 3))
        deviations = np.einsum("mij,kj->mki", self.roots, samples)
        self.coefficients = self.means[:, None] + deviations
        self.coefficients[:, :, 1] += self._balance(self.grid)[:, None] * self.coefficients[:, :, 2]
        is_valid = (self.coefficients >= 0).all(axis=2)  # (m grid points, k samples)
        if not is_valid.any():  # longer runs ended worse: no law fits, the flattest is nearest
            self.coefficients = np.maximum(self.coefficients, 0.0)
            is_valid = np.ones_like(is_valid)
        weights = np.exp(evidence - evidence.max())[:, None] * is_valid
        self.weights: Array = weights / weights.sum()

    def forecast(self, runs: Sequence[TrainingPoint], noisy: bool = True) -> LossForecast:
        """The losses of other runs.

        With `noisy`, they include the noise of a run, and the error of the law beyond the largest
        and the longest run that it was fitted to.
        """
        generator = np.random.default_rng(SEED)
        drawn = generator.choice(self.weights.size, DRAWS, p=self.weights.ravel())
        points = self.grid[drawn // SAMPLES]
        coefficients = self.coefficients.reshape(-1, 3)[drawn]
        losses = np.einsum("dnk,dk->dn", self._features(points, runs), coefficients)
        if noisy:
            params, tokens = _to_table(runs).T[:2]
            beyond = np.log(np.maximum(tokens / self.max_tokens, 1.0))
            noise = np.hypot(points[:, 4:], DRIFT * beyond)  # (d draws, n runs)
            losses = losses * (1 + noise * generator.standard_normal(losses.shape))
            beyond = np.log(np.maximum(params * tokens / self.max_compute, 1.0))
            losses = losses * np.exp(DRIFT * beyond * generator.standard_normal((DRAWS, 1)))
        return LossForecast(self.scale * losses)

    def _features(self, points: Array, runs: Sequence[TrainingPoint]) -> Array:
        """The factors of E, A and K at each grid point, (m points, n runs, 3)."""
        a, b, critical, gain = points.T[:4, :, None]
        params, tokens, batch, effective = (_to_table(runs) / self.medians).T
        waste = 1 + batch / (critical * tokens**GROWTH)
        data = params**gain * effective * (self.medians[3] / self.medians[1]) / waste
        return np.stack([np.ones_like(data), params**-a, data**-b], axis=-1)

    def _balance(self, points: Array) -> Array:
        """A / K with which size and data contribute alike at BALANCE tokens per parameter, (m,)."""
        tokens = BALANCE * self.medians[0] / self.medians[1]
        return np.asarray(tokens ** -points[:, 1])

    def _fit_regressions(self, runs: Sequence[TrainingPoint], losses: Array) -> Array:
        """Set, at each grid point, the means of E, of A beyond the balance, and of K, and a root of
        their covariance; returns each point's log evidence, up to a constant."""
        x = self._features(self.grid, runs) / losses[:, None]
        x[:, :, 2] += self._balance(self.grid)[:, None] * x[:, :, 1]
        precision, prior = self.grid[:, 4] ** -2.0, np.diag(DEVIATIONS**-2.0)
        moment = x.sum(axis=1) * precision[:, None] + prior @ MEANS
        gram = np.einsum("mni,mnj->mij", x, x) * precision[:, None, None] + prior
        covariance = np.linalg.inv(gram)
        self.means: Array = np.einsum("mij,mj->mi", covariance, moment)
        self.roots: Array = np.linalg.cholesky(covariance)
        misfit = precision * len(losses) - (self.means * moment).sum(axis=1)
        return np.asarray(
            len(losses) * np.log(precision) / 2 - misfit / 2 - np.linalg.slogdet(gram)[1] / 2
        )


def discount_repeats(tokens: float, unique_tokens: float) -> float:
    """The number of new tokens that teach as much as `tokens` of which `unique_tokens` are unique
    (Muennighoff et al. 2023)."""
    if tokens <= unique_tokens:
        return tokens
    repeats = tokens / unique_tokens - 1
    return unique_tokens + unique_tokens * REPEATS * (1 - math.exp(-repeats / REPEATS))


def _to_table(runs: Sequence[TrainingPoint]) -> Array:
    """Parameters, tokens, batch tokens and effective tokens of each run, (n, 4)."""
    return np.array([astuple(run) for run in runs], dtype=np.float64)


def _log_prior(grid: Array) -> Array:
    """The logarithm of each grid point's prior weight, up to a constant."""
    scores = [(grid[:, n] - EXPONENT_PRIOR[0]) / EXPONENT_PRIOR[1] for n in (0, 1)]
    scores.append((np.log(grid[:, 2]) - LN_CRITICAL_PRIOR[0]) / LN_CRITICAL_PRIOR[1])
    scores.append((grid[:, 3] - GAIN_PRIOR[0]) / GAIN_PRIOR[1])
    return np.asarray(-np.sum(np.square(scores), axis=0) / 2)
