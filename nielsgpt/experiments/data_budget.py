"""The data budget of a mix: what repeated tokens are worth, and when a model would overfit.

A repeated token teaches less than a new one (scaling_law.py). After too many epochs the model has
memorized the text, and from there on its validation loss rises, the sooner the larger the model is.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from nielsgpt.experiments.scaling_law import discount_repeats

# Epochs until the validation loss turns, for a model of a million parameters with far fewer tokens
# than that, and the power of the parameters with which they fall (measured by
# benchmarks/readings.py, docs/lab-log.md). With as many tokens as parameters or more, the model
# cannot memorize them all, so it takes more epochs. Up to four epochs are as good as new text for
# any model (Muennighoff et al. 2023).
EPOCHS_AT_MILLION = 8.0
MILLION = 1e6
PARAMS_POWER = 0.2
MIN_EPOCHS = 4.0
# The most parameters per token that a text can make use of. With it the scaling law came nearer to
# the ends of thirteen trials (benchmarks/plan.py, docs/lab-log.md); that excess parameters lose
# their value is from Muennighoff et al. 2023.
PARAMS_PER_TOKEN = 2.0


@dataclass(frozen=True)
class DataBudget:
    """The tokens of each source, and its share of the training mix."""

    tokens: Mapping[str, int]
    mix: Mapping[str, float]

    @property
    def total(self) -> int:
        """The unique tokens of all sources in the mix."""
        return sum(self.tokens[name] for name in self.mix)

    def count_epochs(self, tokens: float) -> dict[str, float]:
        """The epochs of each source in a run on this many tokens."""
        return {name: share * tokens / self.tokens[name] for name, share in self.mix.items()}

    def count_unique(self, tokens: float) -> float:
        """The unique tokens in a run on this many tokens."""
        return sum(min(share * tokens, self.tokens[name]) for name, share in self.mix.items())

    def discount_repeats(self, tokens: float) -> float:
        """The number of new tokens that teach as much as this many tokens of the mix."""
        return sum(
            discount_repeats(share * tokens, self.tokens[n]) for n, share in self.mix.items()
        )

    def discount_params(self, params: float) -> float:
        """The effective parameters of a model: those that the text can make use of."""
        return params / (1 + params / (PARAMS_PER_TOKEN * self.total))

    def limit_tokens(self, tokens: int, params: int) -> int:
        """The tokens to train on, at most `tokens`, before a model overfits the whole mix."""
        capacity = 1 + self.count_unique(tokens) / params
        epochs = EPOCHS_AT_MILLION * (params / MILLION) ** -PARAMS_POWER * capacity
        max_epochs = max(MIN_EPOCHS, epochs)
        return bisect_right(
            range(1, tokens + 1), max_epochs, key=lambda n: n / self.count_unique(n)
        )
