"""The loop around the steps: evaluate, save, plan, go back, stop when asked."""

import logging
import math
import signal
import time
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from nielsgpt.checkpoint.contents import MetricsRow, State
from nielsgpt.errors import RunError, Stopped, best_effort
from nielsgpt.system.signals import watch_stop_signals
from nielsgpt.training.run_log import RunLog
from nielsgpt.training.spike_guard import MOST_ROLLBACKS
from nielsgpt.training.time_budget import TimeBudget
from nielsgpt.training.trainer import StepInterrupted, Trainer

log = logging.getLogger("nielsgpt")
TIMED_SAVES = 3  # that are waited for and timed, so that one stall does not decide
MOST_EPOCHS = 16  # after which another one teaches next to nothing (Muennighoff et al. 2023)
Outcome = Literal["done", "early stop"]
Sampler = Callable[[Trainer], Sequence[tuple[str, str]]]


class Checkpoints(Protocol):
    """Where states are saved, and come back from."""

    def save(self, trainer: Trainer, improved: bool) -> None: ...

    def newest(self) -> State | None: ...

    def finish(self) -> None: ...


class TrainingLoop:
    """One session of a phase. All state that outlives the session is the trainer's."""

    def __init__(
        self,
        trainer: Trainer,
        run_log: RunLog,
        checkpoints: Checkpoints,
        time_budget: TimeBudget | None = None,
        sampler: Sampler | None = None,
        started_at: float | None = None,
    ) -> None:
        self.trainer = trainer
        self.run_log = run_log
        self.checkpoints = checkpoints
        self.time_budget = time_budget
        self.sampler = sampler
        self._first_step = trainer.step
        self._saved_step = trainer.step if trainer.step else -1
        self._earlier_seconds = trainer.seconds
        self._started_at = time.monotonic() if started_at is None else started_at

    def run(self) -> Outcome:
        """Train to the phase's last step, or its last minute, and save.

        Raises Stopped after saving when the process is asked to end, and RunError when rolling back
        again and again does not help.
        """
        trainer, group = self.trainer, self.trainer.group
        self._warn_of_many_epochs()
        try:
            with watch_stop_signals(once=True) as signals, self.run_log.progress:
                # With several processes none may leave a step that the others continue.
                trainer.should_stop = lambda: group.is_single and bool(signals)
                while not trainer.is_finished:
                    try:
                        self._step()
                    except StepInterrupted:
                        self._stop(signals[0])
                    signal_number = group.all_reduce_max(signals[0] if signals else 0)
                    if signal_number:
                        self._stop(signal_number)
        finally:
            self.checkpoints.finish()
        group.barrier()
        return "early stop" if trainer.out_of_patience else "done"

    def _step(self) -> None:
        """One step with the evaluation, log row and save that it asks for.

        Where the last session was stopped in the middle of an evaluation, only the latter.
        """
        trainer = self.trainer
        if trainer.pending_row is not None:
            self.run_log.rewind(trainer.step - 1)
        else:
            row = self._train()
            if row["skipped"] and trainer.spike_guard.wants_rollback(trainer.step):
                self._roll_back("too many steps skipped")
                return
            self._plan_last_step()
        self._finish_step()

    def _train(self) -> MetricsRow:
        """The step itself, and the events in it."""
        trainer, size = self.trainer, self.trainer.micro_batch_size
        row = trainer.take_step()
        if trainer.micro_batch_size != size:
            text = f"micro-batches of {trainer.micro_batch_size} instead of {size}"
            self.run_log.event(trainer.step, "out of memory", text)
        if row["skipped"]:
            log.warning("step %d: skipped: %s", row["iter"], row["skipped"])
            self.run_log.event(row["iter"], "skip", row["skipped"])
        return row

    def _finish_step(self) -> None:
        """Evaluate, log and save where the step asks for it.

        A session with a time budget evaluates and saves once as soon as it is warmed up, to learn
        how long both take; that evaluation does not count against the patience.
        """
        trainer, phase, improved = self.trainer, self.trainer.phase, False
        budget = self.time_budget
        warm = budget is not None and budget.is_warmed_up(trainer.step, self._first_step)
        if warm or trainer.at_last_step or trainer.step % phase.eval_every == 0:
            improved = self._evaluate(counts=not warm)
        trainer.finish_step(self.run_log.record)
        if warm or improved or trainer.at_last_step or trainer.step % phase.checkpoint_every == 0:
            self._save(improved)

    def _save(self, improved: bool) -> None:
        """Save a finite state; roll back from one that is not."""
        trainer, began = self.trainer, time.monotonic()
        if not trainer.is_finite():
            self._roll_back("the weights are not finite")
            return
        trainer.seconds = self._earlier_seconds + began - self._started_at
        self.checkpoints.save(trainer, improved)
        self._saved_step = trainer.step
        if self.time_budget is not None and self.time_budget.samples("save") < TIMED_SAVES:
            self.checkpoints.finish()  # at the end of the budget a save is waited for too
            every = min(trainer.phase.checkpoint_every, trainer.phase.eval_every)
            self.time_budget.record_pause("save", time.monotonic() - began, every)

    def _evaluate(self, counts: bool) -> bool:
        """Evaluate and sample; true when it is the best so far."""
        trainer, began = self.trainer, time.monotonic()
        improved = trainer.evaluate(counts)
        _log_evaluation(trainer)
        samples = self.sampler is not None and trainer.group.is_rank_zero
        if samples and not trainer.should_stop() and math.isfinite(trainer.metric("loss")):
            assert self.sampler is not None
            with best_effort("sampling"):
                self.run_log.samples(trainer.step, self.sampler(trainer))
        if trainer.out_of_patience:
            count = trainer.evals_without_improvement
            log.info("no improvement in %d evaluations: stopping early", count)
            self.run_log.event(trainer.step, "early stop", f"{count} evaluations")
        if self.time_budget is not None:
            seconds = time.monotonic() - began
            passes = trainer.phase.eval_batches * len(trainer.validation) * (1 + bool(trainer.ema))
            self.time_budget.record_pause("evaluation", seconds, trainer.phase.eval_every, passes)
        return improved

    def _plan_last_step(self) -> None:
        """Move the last step to where the time budget ends at the pace so far."""
        trainer = self.trainer
        if self.time_budget is None or trainer.at_last_step:
            return
        planned = self.time_budget.last_step(trainer.step, self._first_step) or 0
        end, before = trainer.group.broadcast(planned), trainer.schedule
        if not end or end == before.end:
            return
        trainer.move_last_step(end)
        end = trainer.schedule.end
        if abs(end - before.end) > 0.05 * before.end:
            self.run_log.event(trainer.step, "horizon", f"to end at step {end}")
        if not before.known_end:
            self._warn_of_many_epochs()
        self.run_log.progress.total = end

    def _warn_of_many_epochs(self) -> None:
        """Warn of sources that are repeated until the model overfits."""
        end, batches = self.trainer.schedule.known_end, self.trainer.batches
        if not end or not self.trainer.group.is_rank_zero:
            return
        left = max(0, end - self.trainer.step)
        rows = self.trainer.drawn + left * batches.batch_size
        for name, epochs in batches.epochs(rows).items():
            if epochs > MOST_EPOCHS:
                log.warning(
                    "%s will be repeated for %.0f epochs; beyond %d the model overfits: add text, "
                    "lower its share, or train for a shorter time",
                    name,
                    epochs,
                    MOST_EPOCHS,
                )

    def _roll_back(self, reason: str) -> None:
        trainer, step = self.trainer, self.trainer.step
        if trainer.spike_guard.rollbacks >= MOST_ROLLBACKS:
            raise RunError(
                f"step {step}: rolling back did not help {MOST_ROLLBACKS} times; the last "
                "checkpoint is intact: lower the learning rate and run the same command again"
            )
        self.checkpoints.finish()
        trainer.roll_back(trainer.group.broadcast_object(self.checkpoints.newest))
        scale = trainer.spike_guard.rate_scale
        text = f"back to step {trainer.step}, the learning rate times {scale:g}"
        log.warning("step %d: %s: %s", step, reason, text)
        self.run_log.rewind(trainer.step)
        self.run_log.event(step, "rollback", text)

    def _stop(self, signal_number: int) -> None:
        trainer = self.trainer
        if trainer.step != self._saved_step and trainer.is_finite():
            self._save(False)
        self.checkpoints.finish()
        trainer.group.barrier()
        self.run_log.event(trainer.step, "stopped", signal.Signals(signal_number).name)
        raise Stopped(
            f"stopped at step {_step_of_end(trainer, ' of ')}, which is saved; rerun the same "
            "command, without --resume or --no-resume, to continue",
            signal_number,
        )


def _step_of_end(trainer: Trainer, separator: str) -> str:
    """The step, and the last one where it is known."""
    end = trainer.schedule.known_end
    return f"{trainer.step}{separator}{end}" if end else f"{trainer.step}"


def _log_evaluation(trainer: Trainer) -> None:
    value, bits = trainer.metric("loss"), trainer.metric("bits_per_byte")
    log.info(
        "step %s: validation loss %.4f nats per token, %.4f bits per byte%s",
        _step_of_end(trainer, "/"),
        value,
        bits,
        " (best)" if value == trainer.best else "",
    )
