"""Training: one loop for every backend and every scenario."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from nielsgpt.micro import backends, documents
from nielsgpt.micro.adam import Adam
from nielsgpt.micro.documents import Corpus
from nielsgpt.micro.errors import MicroRunError
from nielsgpt.micro.scenarios import Scenario
from nielsgpt.micro.store import Saved
from nielsgpt.micro.weights import Shape, initial


@dataclass(frozen=True)
class Update:
    """The result of one optimizer update, and the seconds that its parts took."""

    documents: int
    loss: float
    forward_s: float
    backward_s: float
    optimizer_s: float


class Run:
    """A model, its documents and its optimizer.

    num_steps counts documents. With grad_accum N an update has the mean gradient of N of them, so
    there are num_steps / N updates, rounded up, and the learning rate falls to 0 over these.
    """

    def __init__(self, root: Path, scenario: Scenario) -> None:
        numbers = self.numbers = scenario.training
        self.corpus: Corpus = documents.load(root, scenario)
        size = scenario.model
        self.shape = Shape(
            size.n_embd, size.n_head, size.n_layer, size.block_size, self.corpus.alphabet.vocab_size
        )
        start = initial(self.shape, numbers.seed)
        self.model = backends.make(numbers.backend, self.shape, start, numbers.dtype)
        self.updates = math.ceil(numbers.num_steps / numbers.grad_accum)
        self.adam = Adam(self.updates, numbers)

    def train(self) -> Iterator[Update]:
        """Train, yielding after every update. Raises MicroRunError when the loss is not finite."""
        queue = islice(cycle(self.corpus.sequences), self.numbers.num_steps)
        done = 0
        while group := list(islice(queue, self.numbers.grad_accum)):
            parts = [self._learn(ids, 1.0 / len(group)) for ids in group]
            loss, forward_s, backward_s = (sum(part) for part in zip(*parts, strict=True))
            began = time.perf_counter()
            self.adam.update(self.model.leaves())
            done += len(group)
            yield Update(done, loss, forward_s, backward_s, time.perf_counter() - began)

    def saved(self) -> Saved:
        """The model as it is now, apart from its backend."""
        return Saved(self.corpus.alphabet, self.shape, self.model.weights())

    def _learn(self, ids: Sequence[int], share: float) -> tuple[float, float, float]:
        """One document: its share of the loss, and the seconds of both passes."""
        began = time.perf_counter()
        try:
            loss = self.model.forward(ids)
        except OverflowError:
            loss = math.inf
        between = time.perf_counter()
        if not math.isfinite(loss):
            raise MicroRunError(
                f"the loss is {loss} after {self.adam.step} updates; training.learning_rate "
                f"{self.numbers.learning_rate:g} is too high"
            )
        self.model.backward(share)
        return loss * share, between - began, time.perf_counter() - between
