"""Validation loss in nats per token and in bits per byte, on the same rows every time.

Bits per byte divide by the UTF-8 bytes that the tokens stand for, so models with different
tokenizers compare: bpb = sum of nats / (ln 2 x bytes).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from nielsgpt.data.cache.loader import IGNORED, Batch
from nielsgpt.model.gpt import GPT, eval_mode
from nielsgpt.training.loss import linear_cross_entropy


@dataclass(frozen=True)
class Evaluation:
    """Sums over one source's validation rows."""

    nats: float
    tokens: int
    text_bytes: int

    @property
    def loss(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens

    @property
    def bits_per_byte(self) -> float:
        """Bits per UTF-8 byte of the tokens' text."""
        return self.nats / (math.log(2) * self.text_bytes)

    def all_reduce(self, totals: Callable[[Sequence[float]], list[float]]) -> "Evaluation":
        """The sums over all processes, each of which measured a part of the rows."""
        nats, tokens, text_bytes = totals([self.nats, self.tokens, self.text_bytes])
        return Evaluation(nats, int(tokens), int(text_bytes))


@torch.no_grad()
def evaluate(
    model: GPT, batches: Iterable[Batch], byte_lengths: torch.Tensor, device: str
) -> Evaluation:
    """The model's loss over the batches; the model's mode is what it was afterwards."""
    nats, tokens, text_bytes = 0.0, 0, 0
    with eval_mode(model):
        for batch in batches:
            targets = torch.from_numpy(batch.targets)
            counted = targets[targets != IGNORED]
            hidden = model.trunk(torch.from_numpy(batch.inputs).to(device))
            nats += float(linear_cross_entropy(hidden, model.head_weight, targets.to(device)))
            tokens += counted.numel()
            text_bytes += int(byte_lengths[counted].sum())
    return Evaluation(nats, tokens, text_bytes)
