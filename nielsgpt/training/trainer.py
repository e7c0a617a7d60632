"""The trainer: one for every phase, on one screen.

A step's loss is the *sum* over its supervised tokens divided by their number in the whole step, so
neither the micro-batch nor the number of processes can change the mathematics. Everything random
is a function of (seed, step), so a resumed run is the run that was never stopped.
"""

import logging
import math
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

import torch

from nielsgpt.cache.batches import IGNORED, Mixture, Rows
from nielsgpt.cache.shuffle import mixed
from nielsgpt.device import Engine, compiled
from nielsgpt.errors import RunError, Stopped
from nielsgpt.model.gpt import GPT
from nielsgpt.settings import PhaseSettings
from nielsgpt.training.evaluate import Evaluation, evaluate
from nielsgpt.training.journal import Journal
from nielsgpt.training.loss import linear_cross_entropy
from nielsgpt.training.optim import Optimizer

log = logging.getLogger("nielsgpt")


class Store(Protocol):
    """Where states go."""

    def save(self, trainer: "Trainer", improved: bool) -> None: ...


class Trainer:
    """A model, its optimizer and its data, at one step."""

    def __init__(
        self,
        model: GPT,
        phase: PhaseSettings,
        engine: Engine,
        batches: Mixture,
        validation: Mapping[str, Rows],
        shares: Mapping[str, float],
        byte_lengths: torch.Tensor,
        seed: int,
    ) -> None:
        model.compute_dtype, model.checkpointing = engine.dtype, phase.activation_checkpointing
        model.attend_with(engine.attention)
        self.model, self.phase, self.engine = model.to(engine.device), phase, engine
        self.batches, self.validation, self.shares = batches, validation, shares
        self.byte_lengths, self.seed = byte_lengths, seed
        self.optimizer = Optimizer(model, phase)
        self.trunk = compiled(model.trunk, engine)
        self.step, self.best = 0, math.inf
        self.evaluations: dict[str, Evaluation] = {}

    def train_step(self) -> dict[str, Any]:
        """One optimizer update; returns its row of the journal.

        Raises RunError when the loss or the gradient is not finite, before anything is updated.
        """
        self.model.train()
        if self.model.shape.dropout:
            torch.manual_seed(mixed(self.seed, self.step))
        batch = self.batches.batch(self.step)
        inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
        counted = int((targets != IGNORED).sum())
        nats = 0.0
        size = self.phase.micro_batch_size
        for x, y in zip(torch.split(inputs, size), torch.split(targets, size), strict=True):
            hidden = self.trunk(x.to(self.engine.device))
            total = linear_cross_entropy(hidden, self.model.head_weight, y.to(self.engine.device))
            torch.autograd.backward(total / counted)
            nats += total.item()
        rate, norm = self.optimizer.step(self.step)
        self.step += 1
        loss = nats / counted
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise RunError(
                f"step {self.step}: loss {loss:g} and gradient norm {norm:g} are not finite; the "
                "last checkpoint is sound: lower the learning rate and run the same command again"
            )
        return {
            "iter": self.step,
            "train_loss": loss,
            "lr": rate,
            "grad_norm": norm,
            "tokens": inputs.numel(),
            "tokens_seen": self.step * inputs.numel(),
        }

    def evaluate(self) -> bool:
        """Measure every validation source; true when the metric is the best so far."""
        rows = self.phase.eval_batches * self.phase.batch_size
        self.evaluations = {
            name: evaluate(
                self.model,
                source.in_order(rows, self.phase.micro_batch_size),
                self.byte_lengths,
                self.engine.device,
            )
            for name, source in self.validation.items()
        }
        value = self.metric("loss")
        improved = value < self.best
        self.best = min(self.best, value)
        return improved

    def metric(self, figure: str) -> float:
        """The figure that selects best: of one source, or over the mix by its shares."""
        chosen = self.phase.best_metric
        values = {name: getattr(e, figure) for name, e in self.evaluations.items()}
        if chosen != "mix":
            return float(values[chosen])
        return float(sum(self.shares[name] * value for name, value in values.items()))

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, beside the data."""
        return {
            "step": self.step,
            "best": self.best,
            "weights": self.model.state_dict(),
            "optimizer": self.optimizer.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self.model.load_state_dict(state["weights"])
        self.optimizer.load(state["optimizer"])
        self.step, self.best = int(state["step"]), float(state["best"])


def run(trainer: Trainer, journal: Journal, store: Store) -> None:
    """Train to the phase's last step, evaluating and saving on the way.

    Raises Stopped after saving when the process is asked to end.
    """
    phase = trainer.phase
    with _asked_to_stop() as asked, journal.progress:
        while trainer.step < phase.max_steps:
            row = trainer.train_step()
            done = trainer.step == phase.max_steps
            improved = False
            if done or trainer.step % phase.eval_every == 0:
                improved = trainer.evaluate()
                row |= _verdict(trainer)
                journal.record(row, trainer.evaluations)
            else:
                journal.record(row, {})
            if improved or done or asked or trainer.step % phase.checkpoint_every == 0:
                store.save(trainer, improved)
            if asked:
                raise Stopped(
                    f"stopped at step {trainer.step} of {phase.max_steps}, which is saved; "
                    "the same command, without --resume or --no-resume, goes on from there",
                    asked[0],
                )


def _verdict(trainer: Trainer) -> dict[str, float]:
    """The journal's columns of one evaluation, and a line of it for people."""
    value, bits = trainer.metric("loss"), trainer.metric("bits_per_byte")
    log.info(
        "step %d/%d: validation loss %.4f nats per token, %.4f bits per byte%s",
        trainer.step,
        trainer.phase.max_steps,
        value,
        bits,
        " (best)" if value == trainer.best else "",
    )
    return {
        "val_loss": value,
        "val_loss_raw": value,
        "best_val_loss": trainer.best,
        "best_val_loss_raw": trainer.best,
        "val_bits_per_byte": bits,
    }


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """A list that holds the signal's number once SIGINT or SIGTERM came; a second one ends now."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
