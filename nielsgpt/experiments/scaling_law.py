"""What the loss will be: a law of size, data and batch, fitted to a few short runs.

    loss = E + A / N^a + K / D^b,   D = N^c unique(tokens) / (1 + batch / critical)

N are parameters that the text has a use for (planning/corpus.py); E, A and K are not negative
(Hoffmann et al. 2022). A larger model gains more from each token, c, long before its size is what
limits it: short runs show the one, long runs the other. So what short runs cannot say is taken from
others: with twenty tokens a parameter the size costs about as much as the data (the same), which
ties A to K. Tokens read again count less: unique(D) = U + U R (1 - exp(-(D / U - 1) / R)) with R =
15.4 (Muennighoff et al. 2023). A batch of the critical size wastes half of its tokens (McCandlish
et al. 2018), and that size grows with the tokens to the power 0.47 (Zhang et al. 2024).

A few short runs do not settle so many numbers, so no single best law is taken: the exponents, the
critical batch and the noise lie on a grid with priors; at each point E, A and K are a Bayesian
linear regression in closed form, and forecasts are drawn from all points by their weight.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
REPEATS = 15.387756  # R, fitted by Muennighoff et al. 2023
GROWTH = 0.47  # of the critical batch with the tokens
SIZE_EXPONENTS = (0.2, 0.3, 0.4, 0.55, 0.75)
DATA_EXPONENTS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0)
CRITICAL = (0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0, 30.0)  # times the middle batch, middle tokens
GAINS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.8)  # c
NOISE = (0.006, 0.012, 0.024, 0.048, 0.096)  # of a run's loss
BALANCE = 20.0  # tokens a parameter
# Mean and deviation: of the exponents, of ln(critical), of c, and of E, of what A is beyond that
# balance, and of K, as shares of the lowest loss.
EXPONENT, LN_CRITICAL, GAIN = (0.35, 0.25), (math.log(2.0), 1.2), (0.3, 0.4)
MEANS, DEVIATIONS = np.array([0.3, 0.0, 0.5]), np.array([0.35, 0.03, 0.5])
# Of the loss, what the law is off by: for a run alone as often as the tokens grow e-fold, for all
# runs alike as often as parameters times tokens do (docs/lab-log.md, "is the plan right?").
DRIFT = 0.03
DRAWS, KICKS, SEED = 2000, 100, 0


@dataclass(frozen=True)
class TrainingPoint:
    """A run: its parameters, tokens read, tokens a step, and what those read are worth."""

    params: float
    tokens: float
    batch_tokens: float
    worth: float


@dataclass(frozen=True)
class LossForecast:
    """Losses of some runs, drawn together: `draws` (n draws, n runs)."""

    draws: Array

    @property
    def middle(self) -> Array:
        """The median of each run."""
        return np.asarray(np.median(self.draws, axis=0))

    def interval(self, mass: float) -> tuple[Array, Array]:
        """The bounds between which each run lies with this probability."""
        low, high = np.quantile(self.draws, [(1 - mass) / 2, (1 + mass) / 2], axis=0)
        return low, high

    def wins(self, first: int, second: int) -> float:
        """How probable it is that one run ends below another."""
        return float((self.draws[:, first] < self.draws[:, second]).mean())


class ScalingLaw:
    """The law that the losses of some runs leave open."""

    def __init__(self, places: Sequence[TrainingPoint], losses: Sequence[float]) -> None:
        self.scale = min(losses)
        self.middle = np.median(_table(places), axis=0)  # of the places, by column
        self.longest = max(place.tokens for place in places)
        self.largest = max(place.params * place.tokens for place in places)
        grids = SIZE_EXPONENTS, DATA_EXPONENTS, CRITICAL, GAINS, NOISE
        self.points: Array = np.array(list(itertools.product(*grids)))
        evidence = self._regressions(places, np.array(losses) / self.scale)
        evidence += _log_prior(self.points)
        draw = np.random.default_rng(SEED)
        kicks = draw.standard_normal((KICKS, 3))
        self.numbers = self.means[:, None] + np.einsum("mij,kj->mki", self.roots, kicks)
        self.numbers[:, :, 1] += self._balance(self.points)[:, None] * self.numbers[:, :, 2]
        possible = (self.numbers >= 0).all(axis=2)  # (m points, k kicks)
        if not possible.any():  # longer runs ended worse: no law says so, the flattest is nearest
            self.numbers = np.maximum(self.numbers, 0.0)
            possible = np.ones_like(possible)
        weights = np.exp(evidence - evidence.max())[:, None] * possible
        self.weights: Array = weights / weights.sum()

    def forecast(self, places: Sequence[TrainingPoint], noisy: bool = True) -> LossForecast:
        """The losses of other runs; where `noisy`, with the noise of a run, and with what a law may
        be off by beyond the largest and the longest run that it was fitted to."""
        draw = np.random.default_rng(SEED)
        chosen = draw.choice(self.weights.size, DRAWS, p=self.weights.ravel())
        points = self.points[chosen // KICKS]
        numbers = self.numbers.reshape(-1, 3)[chosen]
        losses = np.einsum("dnk,dk->dn", self._columns(points, places), numbers)
        if noisy:
            params, tokens = _table(places).T[:2]
            beyond = np.log(np.maximum(tokens / self.longest, 1.0))
            noise = np.hypot(points[:, 4:], DRIFT * beyond)  # (d draws, n runs)
            losses = losses * (1 + noise * draw.standard_normal(losses.shape))
            further = np.log(np.maximum(params * tokens / self.largest, 1.0))
            losses = losses * np.exp(DRIFT * further * draw.standard_normal((DRAWS, 1)))
        return LossForecast(self.scale * losses)

    def _columns(self, points: Array, places: Sequence[TrainingPoint]) -> Array:
        """What E, A and K are multiplied by, (m points, n runs, 3)."""
        a, b, critical, gain = points.T[:4, :, None]
        params, tokens, batch, worth = (_table(places) / self.middle).T
        waste = 1 + batch / (critical * tokens**GROWTH)
        data = params**gain * worth * (self.middle[3] / self.middle[1]) / waste
        return np.stack([np.ones_like(data), params**-a, data**-b], axis=-1)

    def _balance(self, points: Array) -> Array:
        """A over K at which twenty tokens a parameter cost what the size does, for each point."""
        tokens = BALANCE * self.middle[0] / self.middle[1]
        return np.asarray(tokens ** -points[:, 1])

    def _regressions(self, places: Sequence[TrainingPoint], values: Array) -> Array:
        """Set the mean of E, of A beyond the balance, and of K, and a root of their covariance, at
        each point; returns the logarithm of each point's evidence, up to a constant."""
        x = self._columns(self.points, places) / values[:, None]
        x[:, :, 2] += self._balance(self.points)[:, None] * x[:, :, 1]
        precision, prior = self.points[:, 4] ** -2.0, np.diag(DEVIATIONS**-2.0)
        across = x.sum(axis=1) * precision[:, None] + prior @ MEANS
        whole = np.einsum("mni,mnj->mij", x, x) * precision[:, None, None] + prior
        covariance = np.linalg.inv(whole)
        self.means: Array = np.einsum("mij,mj->mi", covariance, across)
        self.roots: Array = np.linalg.cholesky(covariance)
        misfit = precision * len(values) - (self.means * across).sum(axis=1)
        return np.asarray(
            len(values) * np.log(precision) / 2 - misfit / 2 - np.linalg.slogdet(whole)[1] / 2
        )


def _table(places: Sequence[TrainingPoint]) -> Array:
    """Parameters, tokens, batch and worth of each place, (n, 4)."""
    return np.array([astuple(place) for place in places], dtype=np.float64)


def _log_prior(points: Array) -> Array:
    """The logarithm of each point's prior weight, up to a constant."""
    off = [(points[:, n] - EXPONENT[0]) / EXPONENT[1] for n in (0, 1)]
    off.append((np.log(points[:, 2]) - LN_CRITICAL[0]) / LN_CRITICAL[1])
    off.append((points[:, 3] - GAIN[0]) / GAIN[1])
    return np.asarray(-np.sum(np.square(off), axis=0) / 2)


def unique(tokens: float, corpus: float) -> float:
    """The tokens that so many are worth where only `corpus` of them are different."""
    if tokens <= corpus:
        return tokens
    return corpus + corpus * REPEATS * (1 - math.exp(-(tokens / corpus - 1) / REPEATS))
