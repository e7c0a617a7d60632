"""The trainer: one for every phase, a step on one screen.

A step's loss is the *sum* over its supervised tokens divided by their number in the whole step, so
neither the micro-batch nor the number of processes can change the mathematics. Everything random
is a function of (seed, step), so a resumed run is the run that was never stopped.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from nielsgpt.config.settings import PhaseSettings
from nielsgpt.data.cache.loader import IGNORED, Batch, Mixture, Rows
from nielsgpt.data.cache.shuffle import mix_seed
from nielsgpt.distributed.group import SINGLE_PROCESS, ProcessGroup
from nielsgpt.distributed.partition import largest_divisor
from nielsgpt.model.gpt import GPT
from nielsgpt.system.compile_cache import compile_if_enabled
from nielsgpt.system.device import ExecutionConfig, is_out_of_memory
from nielsgpt.training.ema import EMA
from nielsgpt.training.evaluate import Evaluation, evaluate
from nielsgpt.training.grad_scaler import GradScaler
from nielsgpt.training.loss import exponentials, linear_cross_entropy
from nielsgpt.training.lr_schedule import LRSchedule, lr_at
from nielsgpt.training.optimizer import Optimizer
from nielsgpt.training.spike_guard import SpikeGuard

log = logging.getLogger("nielsgpt")
Row = dict[str, Any]
Found = TypeVar("Found")


class StepInterrupted(Exception):
    """A step that was left before it touched the weights, for the process is asked to end."""


class Trainer:
    """A model, its optimizer and its data, at one step."""

    def __init__(
        self,
        model: GPT,
        phase_settings: PhaseSettings,
        execution: ExecutionConfig,
        batches: Mixture,
        validation: Mapping[str, Rows],
        shares: Mapping[str, float],
        byte_lengths: Tensor,
        seed: int,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        model.compute_dtype, model.checkpointing = (
            execution.dtype,
            phase_settings.activation_checkpointing,
        )
        model.set_attention(execution.attention)
        self.model, self.phase, self.execution = (
            model.to(execution.device),
            phase_settings,
            execution,
        )
        self.group = group
        group.setup_model(model, phase_settings.optimizer)
        self.batches, self.validation, self.shares = batches, validation, shares
        self.byte_lengths, self.seed = byte_lengths, seed
        self.optimizer = Optimizer(model, phase_settings)
        self.ema = EMA(model, phase_settings.ema_decay) if phase_settings.ema_decay else None
        self.trunk = compile_if_enabled(model.trunk, execution)
        self.exponentials = compile_if_enabled(exponentials, execution, any_shape=True)
        self.schedule, self.spike_guard = (
            LRSchedule.for_phase(phase_settings),
            SpikeGuard(phase_settings),
        )
        self.grad_scaler = GradScaler(execution.dtype)
        self.micro_batch_size = phase_settings.micro_batch_size or execution.micro_batch_size
        group.check_batch(phase_settings.batch_size, self.micro_batch_size)
        self.micro_batch_reduced = False  # whether memory ran out with a larger one
        self.step, self.best, self.best_raw, self.evals_without_improvement = (
            0,
            math.inf,
            math.inf,
            0,
        )
        self.seconds = 0.0
        self.pending_row: Row | None = None  # the row of a step whose evaluation was not finished
        self.evaluations: dict[str, Evaluation] = {}
        self.raw_evaluations: dict[str, Evaluation] = {}
        self.should_stop: Callable[[], bool] = lambda: False

    def train_step(self) -> Row:
        """One optimizer update, or a skipped one; returns its row of the journal.

        Raises Abandoned, before anything is updated, when the process is asked to end.
        """
        self.model.train()
        batch = self.batches.batch(self.step)
        inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
        counted = int((targets != IGNORED).sum())
        loss = self._gradients(inputs, targets, max(1, counted)) / max(1, counted)
        norm = self.optimizer.clip(self.grad_scaler.value)
        rate = lr_at(self.step, self.phase, self.schedule) * self.spike_guard.rate_scale
        skipped = (
            self._reason_to_skip(loss, norm) if counted else "none of its tokens is supervised"
        )
        if skipped is None:
            self.optimizer.step(rate)
            if self.ema is not None:
                self.ema.update()
        else:
            self.optimizer.clear()
        self.step += 1
        return {
            "iter": self.step,
            "train_loss": loss,
            "lr": rate,
            "grad_norm": norm,
            "tokens": inputs.numel(),
            "tokens_seen": self.step * inputs.numel(),
            "supervised_tokens": counted,
            "micro_batch_size": self.micro_batch_size,
            "rate_scale": self.spike_guard.rate_scale,
            "skipped": skipped,
        }

    def _gradients(self, inputs: Tensor, targets: Tensor, counted: int) -> float:
        """Add up the gradients of the step's loss; returns the nats summed over its tokens."""
        rows = self.group.rank_rows(len(inputs))
        nats = self._retry_smaller(lambda: self._micro_batches(inputs, targets, counted, rows))
        self.group.sum_gradients(self.model.parameters())
        return self.group.all_reduce_sum([nats])[0]

    def _retry_smaller(self, work: Callable[[], Found]) -> Found:
        """What the work comes to; out of memory: the same once more in micro-batches half as
        large, with the same mathematics."""
        while True:
            full = False
            try:
                found = work()
            except RuntimeError as error:
                full = is_out_of_memory(error)
                if not full or self.micro_batch_size == 1 or not self.group.is_replicated:
                    raise
            if not self.group.all_reduce_max(full):
                return found
            self.optimizer.clear()
            rows = len(self.group.rank_rows(self.phase.batch_size))
            self.micro_batch_size = largest_divisor(rows, self.micro_batch_size // 2)
            self.micro_batch_reduced = True
            log.warning(
                "step %d: out of memory; going on with micro-batches of %d, the same mathematics",
                self.step + 1,
                self.micro_batch_size,
            )

    def _micro_batches(self, inputs: Tensor, targets: Tensor, counted: int, rows: range) -> float:
        """The gradients of some rows of the step; returns the nats summed over their tokens."""
        size, device = self.micro_batch_size, self.execution.device
        totals, pieces = [], [rows[start : start + size] for start in range(0, len(rows), size)]
        gradients = self.group.gradient_sum(self.model.parameters(), len(pieces))
        for piece in pieces:
            if self.should_stop():
                self.optimizer.clear()
                raise StepInterrupted
            if self.model.shape.dropout:
                torch.manual_seed(mix_seed(self.seed, self.step, piece[0]))
            chosen = slice(piece.start, piece.stop, piece.step)
            x, y = inputs[chosen], targets[chosen]
            hidden = self.trunk(x.to(device, non_blocking=True))
            total = linear_cross_entropy(
                hidden,
                self.model.head_weight,
                y.to(device, non_blocking=True),
                self.phase.label_smoothing,
                self.exponentials,
            )
            torch.autograd.backward(total * (self.grad_scaler.value / counted))
            gradients.add()
            totals.append(total.detach())
        return float(torch.stack(totals).double().sum())

    def _reason_to_skip(self, loss: float, norm: float) -> str | None:
        """Why the step must not touch the weights, or None."""
        finite = math.isfinite(loss) and math.isfinite(norm)
        if self.grad_scaler.check_overflow(finite):
            return f"the gradient overflowed float16; the loss's scale is {self.grad_scaler.value:g} now"
        return self.spike_guard.reason_to_skip(loss, norm)

    def evaluate(self) -> bool:
        """Measure every validation source; true when the metric is the best so far.

        With a running mean of the weights both it and the weights are measured; the mean counts.
        """
        self.raw_evaluations = self.evaluations = self._evaluations()
        if self.ema is not None:
            with self.ema.apply():
                self.evaluations = self._evaluations()
        value = self.metric("loss")
        improved = value < self.best
        better = value < self.best - self.phase.early_stopping_min_delta
        self.evals_without_improvement = 0 if better else self.evals_without_improvement + 1
        self.best = min(self.best, value)
        self.best_raw = min(self.best_raw, self.metric("loss", self.raw_evaluations))
        return improved

    def _evaluations(self) -> dict[str, Evaluation]:
        found = self._retry_smaller(self._evaluate_sources)
        return {name: e.all_reduce(self.group.all_reduce_sum) for name, e in found.items()}

    def _evaluate_sources(self) -> dict[str, Evaluation]:
        """This process's part of every validation source."""
        rows, size = self.phase.eval_batches * self.phase.batch_size, self.micro_batch_size
        return {
            name: evaluate(
                self.model,
                self.group.shard_batches(self._interruptible(source.in_order(rows, size))),
                self.byte_lengths,
                self.execution.device,
            )
            for name, source in self.validation.items()
        }

    def _interruptible(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches; raises Abandoned between two of them when the process is asked to end."""
        for batch in batches:
            if self.should_stop():
                raise StepInterrupted
            yield batch

    def metric(self, figure: str, evaluations: Mapping[str, Evaluation] | None = None) -> float:
        """The figure that selects best: of one source, or over the mix by its shares."""
        chosen = self.phase.best_metric
        measured = self.evaluations if evaluations is None else evaluations
        values = {name: getattr(e, figure) for name, e in measured.items()}
        if chosen != "mix":
            return float(values[chosen])
        return float(sum(self.shares[name] * value for name, value in values.items()))

    @property
    def out_of_patience(self) -> bool:
        """Whether enough evaluations passed without a better one."""
        return 0 < self.phase.early_stopping_patience <= self.evals_without_improvement

    def is_finite(self) -> bool:
        """Whether the weights, and their mean, are finite."""
        held = [p.detach() for p in self.model.parameters()]
        held += self.ema.weights().values() if self.ema else []
        norms = torch.stack([norm.float() for norm in torch._foreach_norm(held)])
        return not self.group.all_reduce_max(int(not norms.isfinite().all()))

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, beside the data."""
        whole = {
            "step": self.step,
            "best": self.best,
            "best_raw": self.best_raw,
            "waited": self.evals_without_improvement,
            "weights": self.model.state_dict(),
            "optimizer": self.optimizer.state(),
            "average": self.ema.state() if self.ema else None,
            "guard": self.spike_guard.state(),
            "loss_scale": self.grad_scaler.state(),
            "horizon": self.schedule.state(),
            "micro_batch_size": self.micro_batch_size,
            "lowered": self.micro_batch_reduced,
            "seconds": self.seconds,
            "due": self.pending_row,
        }
        return self.group.gather_state(whole)

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`. A run without a time budget ends where its settings say."""
        state = self.group.scatter_state(state, self.model, self.optimizer.parts)
        self.model.load_state_dict(state["weights"])
        self.optimizer.load(state["optimizer"])
        self.step, self.best, self.best_raw = state["step"], state["best"], state["best_raw"]
        self.evals_without_improvement, self.seconds = state["waited"], state["seconds"]
        self.spike_guard.load(state["guard"])
        self.grad_scaler.load(state["loss_scale"])
        if self.ema is not None and state["average"] is not None:
            self.ema.load(state["average"])
        if self.phase.minutes is not None:
            share = self.seconds / (60 * self.phase.minutes)
            self.schedule = LRSchedule.load(state["horizon"]).extend(self.step, share)
        self.pending_row, self.micro_batch_reduced = state["due"], state["lowered"]
        if self.micro_batch_reduced or not self.phase.micro_batch_size:
            size = self.group.largest_micro_batch(self.phase.batch_size, state["micro_batch_size"])
            self.micro_batch_size = size

    def roll_back(self, state: Mapping[str, Any] | None) -> None:
        """Go back to a saved state, or stay where there is none, and on at half the rate."""
        guard, step = self.spike_guard, self.step
        guard.roll_back(step)
        lower = guard.rate_scale, guard.rollbacks, guard.tried
        if state is not None:
            self.load(state)
        guard.rate_scale, guard.rollbacks, guard.tried = lower
