"""The text of a mix: what reading it again is worth, what size it has a use for, and when it is
learnt by heart.

A token that is read again teaches less (bench/fit.py). At last the model knows the text itself:
from there on its loss on other text rises, the sooner the larger the model is.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from nielsgpt.experiments.scaling_law import unique

# Readings until the loss on other text turns, of a model with a million parameters and much less
# text than that; the power of the parameters with which they fall. From as many tokens on as there
# are parameters the model has no room for them all, so they are read oftener (docs/lab-log.md,
# "when is a text learnt by heart?"). To four, a reading is worth as much as new text, for any model
# (Muennighoff et al. 2023).
TURN, MILLION, SHRINKS, LEAST = 8.0, 1e6, 0.2, 4.0
# Parameters a token that a text has a use for at most. With it the law came nearer to the ends of
# thirteen trials (docs/lab-log.md, "... where text is little?"); that parameters beyond it lose
# their worth is of Muennighoff et al. 2023.
USEFUL = 2.0


@dataclass(frozen=True)
class DataBudget:
    """The tokens of each source, and its share of what is read."""

    tokens: Mapping[str, int]
    mix: Mapping[str, float]

    @property
    def total(self) -> int:
        """The tokens of all sources."""
        return sum(self.tokens[name] for name in self.mix)

    def useful(self, params: float) -> float:
        """The parameters of a model that the text has a use for."""
        return params / (1 + params / (USEFUL * self.total))

    def worth(self, tokens: float) -> float:
        """The tokens that so many are worth, read from the mix of the sources."""
        return sum(unique(share * tokens, self.tokens[name]) for name, share in self.mix.items())

    def epochs(self, tokens: float) -> dict[str, float]:
        """How often each source is read."""
        return {name: share * tokens / self.tokens[name] for name, share in self.mix.items()}

    def different(self, tokens: float) -> float:
        """How many of so many tokens are not read again."""
        return sum(min(share * tokens, self.tokens[name]) for name, share in self.mix.items())

    def enough(self, tokens: int, params: int) -> int:
        """Of so many tokens, as many as a model reads before it learns the whole mix by heart."""
        room = 1 + self.different(tokens) / params
        often = max(LEAST, TURN * (params / MILLION) ** -SHRINKS * room)
        return bisect_right(range(1, tokens + 1), often, key=lambda n: n / self.different(n))
