"""The trainer: one for every phase, a step on one screen.

A step's loss is the *sum* over its supervised tokens divided by their number in the whole step, so
neither the micro-batch nor the number of processes can change the mathematics. Everything random
is a function of (seed, step), so a resumed run is the run that was never stopped.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from nielsgpt.checkpoint.contents import EvaluationColumns, Facts, MetricsRow, Numbers, State
from nielsgpt.config.settings import PhaseSettings
from nielsgpt.data.cache.loader import IGNORED, Batch, Mixture, Rows
from nielsgpt.data.cache.shuffle import mix_seed
from nielsgpt.distributed.group import SINGLE_PROCESS, ProcessGroup
from nielsgpt.distributed.partition import largest_divisor
from nielsgpt.model.gpt import GPT
from nielsgpt.system.device import ExecutionConfig, is_out_of_memory
from nielsgpt.training.ema import EMA
from nielsgpt.training.evaluate import Evaluation, evaluate
from nielsgpt.training.grad_scaler import GradScaler
from nielsgpt.training.loss import ForwardBackward, prepare_model
from nielsgpt.training.lr_schedule import LRSchedule, lr_at
from nielsgpt.training.optimizer import Optimizer
from nielsgpt.training.spike_guard import SpikeGuard

log = logging.getLogger("nielsgpt")
P = ParamSpec("P")
Found = TypeVar("Found")


class StepInterrupted(Exception):
    """A step abandoned before it changed the weights, because the process should stop."""


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
        self.model = prepare_model(model, execution, phase_settings.activation_checkpointing)
        self.phase = phase_settings
        self.execution = execution
        self.group = group
        group.setup_model(model, phase_settings.optimizer)
        self.batches = batches
        self.validation = validation
        self.shares = shares
        self.byte_lengths = byte_lengths
        self.seed = seed
        self.optimizer = Optimizer(model, phase_settings)
        self.ema = EMA(model, phase_settings.ema_decay) if phase_settings.ema_decay else None
        self.forward_backward = ForwardBackward(model, execution)
        self.schedule = LRSchedule.for_phase(phase_settings)
        self.spike_guard = SpikeGuard(phase_settings)
        self.grad_scaler = GradScaler(execution.dtype)
        self.micro_batch_size = phase_settings.micro_batch_size or execution.micro_batch_size
        group.check_batch(phase_settings.batch_size, self.micro_batch_size)
        self.micro_batch_reduced = False  # whether memory ran out with a larger one
        self.step = 0
        self.drawn = 0  # rows read so far, whatever the batch size was
        self.best = math.inf
        self.best_raw = math.inf
        self.evals_without_improvement = 0
        self.seconds = 0.0
        self.pending_row: MetricsRow | None = None  # of a step whose evaluation was not finished
        self.evaluations: dict[str, Evaluation] = {}
        self.raw_evaluations: dict[str, Evaluation] = {}
        self.should_stop: Callable[[], bool] = lambda: False

    def train_step(self) -> MetricsRow:
        """One optimizer update, or a skipped one; returns its row of metrics.

        Raises StepInterrupted, before anything is updated, when the process is asked to end.
        """
        self.model.train()
        batch = self.batches.batch(self.step, self.drawn)
        inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)  # (B, T)
        supervised = int((targets != IGNORED).sum())
        while (nats := self._try(self._accumulate, inputs, targets, supervised)) is None:
            self._halve_micro_batch()
        self.group.sum_gradients(self.model.parameters())
        loss = self.group.all_reduce_sum([nats])[0] / max(1, supervised)
        norm = self.optimizer.clip(self.grad_scaler.value)
        rate = lr_at(self.step, self.phase, self.schedule) * self.spike_guard.rate_scale
        skipped = self._reason_to_skip(loss, norm, supervised)
        if skipped is None:
            self.optimizer.step(rate)
            if self.ema is not None:
                self.ema.update()
        else:
            self.optimizer.clear()
        self.step += 1
        self.drawn += len(inputs)
        return {
            "iter": self.step,
            "train_loss": loss,
            "lr": rate,
            "grad_norm": norm,
            "tokens": inputs.numel(),
            "tokens_seen": self.tokens_seen,
            "supervised_tokens": supervised,
            "micro_batch_size": self.micro_batch_size,
            "rate_scale": self.spike_guard.rate_scale,
            "skipped": skipped,
        }

    def _accumulate(self, inputs: Tensor, targets: Tensor, supervised: int) -> float:
        """The gradients of this rank's rows of the step, micro-batch by micro-batch.

        inputs and targets (B, T). Returns the rows' loss, summed over their tokens in nats.
        """
        rows, size = self.group.rank_rows(len(inputs)), self.micro_batch_size
        micro_batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        gradients = self.group.gradient_sum(self.model.parameters(), len(micro_batches))
        scale = self.grad_scaler.value / max(1, supervised)
        losses = []
        for micro_batch in micro_batches:
            if self.should_stop():
                self.optimizer.clear()
                raise StepInterrupted
            if self.model.shape.dropout:
                torch.manual_seed(mix_seed(self.seed, self.step, micro_batch[0]))
            chosen = slice(micro_batch.start, micro_batch.stop, micro_batch.step)
            x, y = inputs[chosen], targets[chosen]
            losses.append(self.forward_backward(x, y, scale, self.phase.label_smoothing))
            gradients.add()
        return float(torch.stack(losses).double().sum())

    def _try(self, work: Callable[P, Found], *args: P.args, **kwargs: P.kwargs) -> Found | None:
        """The result of the work; None where memory ran out on any rank, and less may help."""
        result: Found | None = None
        try:
            result = work(*args, **kwargs)
        except RuntimeError as error:
            smaller = self.micro_batch_size > 1 and self.group.is_replicated
            if not smaller or not is_out_of_memory(error):
                raise
        return None if self.group.all_reduce_max(result is None) else result

    def _halve_micro_batch(self) -> None:
        """Compute in micro-batches half as large from now on: the mathematics stays the same."""
        self.optimizer.clear()
        rows = len(self.group.rank_rows(self.phase.batch_size))
        self.micro_batch_size = largest_divisor(rows, self.micro_batch_size // 2)
        self.micro_batch_reduced = True
        log.warning(
            "step %d: out of memory; continuing with micro-batches of %d, same result",
            self.step + 1,
            self.micro_batch_size,
        )

    def _reason_to_skip(self, loss: float, norm: float, supervised: int) -> str | None:
        """Why the step must not touch the weights, or None."""
        if not supervised:
            return "none of its tokens is supervised"
        finite = math.isfinite(loss) and math.isfinite(norm)
        if self.grad_scaler.check_overflow(finite):
            scale = self.grad_scaler.value
            return f"the gradient overflowed float16; the loss's scale is {scale:g} now"
        return self.spike_guard.reason_to_skip(loss, norm)

    def take_step(self) -> MetricsRow:
        """Train one step; its row stays pending until `finish_step`."""
        self.pending_row = self.train_step()
        return self.pending_row

    def finish_step(self, record: Callable[[MetricsRow, Mapping[str, Evaluation]], None]) -> None:
        """Hand the pending row to `record`, with the evaluations if it has one."""
        assert self.pending_row is not None
        record(self.pending_row, self.evaluations if "val_loss" in self.pending_row else {})
        self.pending_row = None

    def evaluate(self, counts: bool = True) -> bool:
        """Measure every validation source; true when the metric is the best so far.

        With an EMA both it and the weights are measured; the EMA decides. An evaluation that does
        not count leaves the patience as it is where nothing improved.
        """
        self.raw_evaluations = self.evaluations = self._evaluate_all()
        if self.ema is not None:
            with self.ema.apply():
                self.evaluations = self._evaluate_all()
        value = self.metric("loss")
        improved = value < self.best
        if value < self.best - self.phase.early_stopping_min_delta:
            self.evals_without_improvement = 0
        elif counts:
            self.evals_without_improvement += 1
        self.best = min(self.best, value)
        self.best_raw = min(self.best_raw, self.metric("loss", self.raw_evaluations))
        if self.pending_row is not None:
            self.pending_row = {**self.pending_row, **self._evaluation_columns()}
        return improved

    def _evaluation_columns(self) -> EvaluationColumns:
        """The columns of metrics.csv that an evaluation fills."""
        row: EvaluationColumns = {
            "val_loss": self.metric("loss"),
            "val_loss_raw": self.metric("loss", self.raw_evaluations),
            "best_val_loss": self.best,
            "best_val_loss_raw": self.best_raw,
            "val_bits_per_byte": self.metric("bits_per_byte"),
        }
        if self.ema is not None:
            row |= {"val_loss_ema": row["val_loss"], "best_val_loss_ema": self.best}
        return row

    def _evaluate_all(self) -> dict[str, Evaluation]:
        """Every validation source, summed over the ranks."""
        while (measured := self._try(self._evaluate_sources)) is None:
            self._halve_micro_batch()
        return {name: e.all_reduce(self.group.all_reduce_sum) for name, e in measured.items()}

    def _evaluate_sources(self) -> dict[str, Evaluation]:
        """This process's part of every validation source."""
        rows, size = self.phase.eval_batches * self.phase.batch_size, self.micro_batch_size
        return {
            name: evaluate(
                self.model,
                self.group.shard_batches(self._interruptible(source.eval_batches(rows, size))),
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
    def tokens_seen(self) -> int:
        """The tokens of all rows that led to the current weights.

        Skipped steps count, for their rows were read; steps that a rollback undid do not.
        """
        return self.drawn * self.model.context_length

    @property
    def out_of_patience(self) -> bool:
        """Whether enough evaluations passed without a better one."""
        return 0 < self.phase.early_stopping_patience <= self.evals_without_improvement

    @property
    def at_last_step(self) -> bool:
        """Whether no step is left to train."""
        return self.step >= self.schedule.end or self.out_of_patience

    @property
    def is_finished(self) -> bool:
        """Whether no step is left, and the last one is evaluated and logged."""
        return self.at_last_step and self.pending_row is None

    def move_last_step(self, end: int) -> None:
        """Plan to end at another step; the learning rate bends from here on and never jumps."""
        self.schedule = self.schedule.with_end(self.step, end, self.phase)

    def is_finite(self) -> bool:
        """Whether the weights, and their mean, are finite."""
        held = [p.detach() for p in self.model.parameters()]
        held += self.ema.weights().values() if self.ema else []
        norms = torch.stack([norm.float() for norm in torch._foreach_norm(held)])
        return not self.group.all_reduce_max(int(not norms.isfinite().all()))

    def state(self) -> State:
        """The state that a resumed run needs, besides the data."""
        whole: State = {
            "step": self.step,
            "drawn": self.drawn,
            "mixture": self.batches.state(self.drawn),
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

    def load(self, state: State) -> None:
        """Restore `state()`. A run without a time budget ends at the max_steps of its settings."""
        state = self.group.scatter_state(state, self.model, self.optimizer.parts)
        self.model.load_state_dict(state["weights"])
        self.optimizer.load(state["optimizer"])
        self.step = state["step"]
        self.drawn = _rows_drawn(state, self.phase.batch_size)
        if "mixture" in state:
            self.batches.load(self.drawn, state["mixture"])
        self.best = state["best"]
        self.best_raw = state["best_raw"]
        self.evals_without_improvement = state["waited"]
        self.seconds = state["seconds"]
        self.spike_guard.load(state["guard"])
        self.grad_scaler.load(state["loss_scale"])
        if self.ema is not None and state["average"] is not None:
            self.ema.load(state["average"])
        if self.phase.minutes is not None:
            share = self.seconds / (60 * self.phase.minutes)
            self.schedule = LRSchedule.load(state["horizon"]).extend(self.step, share)
        self.pending_row = state["due"]
        self.micro_batch_reduced = state["lowered"]
        if self.micro_batch_reduced or not self.phase.micro_batch_size:
            size = self.group.largest_micro_batch(self.phase.batch_size, state["micro_batch_size"])
            self.micro_batch_size = size

    def roll_back(self, state: State | None) -> None:
        """Return to a saved state if there is one, and halve the learning rate."""
        guard, step = self.spike_guard, self.step
        self.pending_row = None
        guard.roll_back(step)
        lower = guard.rate_scale, guard.rollbacks, guard.tried
        if state is not None:
            self.load(state)
        guard.rate_scale, guard.rollbacks, guard.tried = lower


def _rows_drawn(state: State, batch_size: int) -> int:
    """The rows a state has read; an older state has no count but says its batch size."""
    if "drawn" in state:
        return int(state["drawn"])
    numbers = state.get("facts", Facts()).get("numbers", Numbers())
    return int(state["step"] * numbers.get("batch_size", batch_size))
