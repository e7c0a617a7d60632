"""The loop around the steps: evaluate, save, plan, go back, stop when asked."""

import logging
import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from nielsgpt.errors import RunError, Stopped
from nielsgpt.system.signals import watch_stop_signals
from nielsgpt.training.run_log import RunLog
from nielsgpt.training.spike_guard import MOST_ROLLBACKS
from nielsgpt.training.time_budget import TimeBudget
from nielsgpt.training.trainer import Row, StepInterrupted, Trainer

log = logging.getLogger("nielsgpt")
OFTEN = 16  # readings after which more of them teach next to nothing (Muennighoff et al. 2023)
Outcome = Literal["done", "early stop"]
Sampler = Callable[[Trainer], Sequence[tuple[str, str]]]


class Store(Protocol):
    """Where states go, and come back from."""

    def save(self, trainer: Trainer, improved: bool) -> None: ...

    def newest(self) -> Mapping[str, Any] | None: ...

    def finish(self) -> None: ...


class TrainingLoop:
    """One session of a phase: its trainer, its notes, its states, its time and its samples."""

    def __init__(
        self,
        trainer: Trainer,
        journal: RunLog,
        store: Store,
        clock: TimeBudget | None = None,
        sampler: Sampler | None = None,
        began: float | None = None,
    ) -> None:
        self.trainer, self.run_log, self.checkpoints = trainer, journal, store
        self.time_budget, self.sampler, self.first = clock, sampler, trainer.step
        self.saved = trainer.step if trainer.step else -1
        self.earlier = trainer.seconds
        self.began = time.monotonic() if began is None else began

    def run(self) -> Outcome:
        """Train to the phase's last step, or its last minute, and save.

        Raises Stopped after saving when the process is asked to end, and RunError when going back
        again and again does not help.
        """
        trainer = self.trainer
        self._warn_of_repeats()
        try:
            with watch_stop_signals(once=True) as asked, self.run_log.progress:
                # Of several processes none may leave a step that the others go on with.
                trainer.should_stop = lambda: trainer.group.is_single and bool(asked)
                while trainer.pending_row or not self._over:
                    try:
                        self._step()
                    except StepInterrupted:
                        self._stop(asked[0])
                    number = trainer.group.all_reduce_max(asked[0] if asked else 0)
                    if number:
                        self._stop(number)
        finally:
            self.checkpoints.finish()
        trainer.group.barrier()
        return "early stop" if trainer.out_of_patience else "done"

    @property
    def _over(self) -> bool:
        return self.trainer.step >= self.trainer.schedule.end or self.trainer.out_of_patience

    def _step(self) -> None:
        """One step and what is due after it, or the latter alone, where the last session left it
        in the middle of its evaluation."""
        trainer = self.trainer
        if trainer.pending_row is None:
            trainer.pending_row = self._train()
            if trainer.pending_row["skipped"] and trainer.spike_guard.wants_rollback(trainer.step):
                self._roll_back("too many steps skipped")
                return
            self._plan()
        else:
            self.run_log.rewind(trainer.step - 1)
        self._finish(trainer.pending_row)

    def _train(self) -> Row:
        """The step itself, and the events in it."""
        trainer, size = self.trainer, self.trainer.micro_batch_size
        row = trainer.train_step()
        if trainer.micro_batch_size != size:
            text = f"micro-batches of {trainer.micro_batch_size} instead of {size}"
            self.run_log.event(trainer.step, "out of memory", text)
        if row["skipped"]:
            log.warning("step %d: skipped, for %s", row["iter"], row["skipped"])
            self.run_log.event(row["iter"], "skip", row["skipped"])
        return row

    def _finish(self, row: Row) -> None:
        """Evaluate, note and save, where the step asks for it."""
        trainer, phase, improved = self.trainer, self.trainer.phase, False
        look = self.time_budget is not None and self.time_budget.is_warmed_up(
            trainer.step, self.first
        )
        if look or self._over or trainer.step % phase.eval_every == 0:
            improved = self._evaluate(row, look)
        self.run_log.record(row, trainer.evaluations if "val_loss" in row else {})
        trainer.pending_row = None
        if look or improved or self._over or trainer.step % phase.checkpoint_every == 0:
            self._save(improved, look)

    def _save(self, improved: bool, look: bool = False) -> None:
        """Save a state that is sound; go back from one that is not."""
        trainer, began = self.trainer, time.monotonic()
        if not trainer.is_finite():
            self._roll_back("the weights are not finite")
            return
        trainer.seconds = self.earlier + began - self.began
        self.checkpoints.save(trainer, improved)
        self.saved = trainer.step
        if look and self.time_budget is not None:
            self.checkpoints.finish()  # at the end of the budget a save is waited for too
            every = min(trainer.phase.checkpoint_every, trainer.phase.eval_every)
            self.time_budget.record_pause("save", time.monotonic() - began, every)

    def _evaluate(self, row: Row, look: bool) -> bool:
        """Measure, note and show; true when it is the best so far.

        A session with a time budget begins with a look that shows how long this takes; it does not
        count against the patience.
        """
        began, trainer, waited = (
            time.monotonic(),
            self.trainer,
            self.trainer.evals_without_improvement,
        )
        improved = trainer.evaluate()
        trainer.evals_without_improvement = (
            min(trainer.evals_without_improvement, waited)
            if look
            else trainer.evals_without_improvement
        )
        row |= _verdict(trainer)
        listens = (
            self.sampler is not None and trainer.group.is_rank_zero and not trainer.should_stop()
        )
        if self.sampler is not None and listens and math.isfinite(trainer.metric("loss")):
            self.run_log.samples(trainer.step, self.sampler(trainer))
        if trainer.out_of_patience:
            log.info("no better evaluation in %d: ending early", trainer.evals_without_improvement)
            self.run_log.event(
                trainer.step, "early stop", f"{trainer.evals_without_improvement} evaluations"
            )
        if self.time_budget is not None:
            self.time_budget.record_pause(
                "evaluation", time.monotonic() - began, trainer.phase.eval_every
            )
        return improved

    def _plan(self) -> None:
        """Move the end to where the time budget ends at the pace so far."""
        trainer = self.trainer
        if self.time_budget is None or trainer.step >= trainer.schedule.end:
            return
        end = trainer.group.broadcast(self.time_budget.last_step(trainer.step, self.first) or 0)
        if not end or end == trainer.schedule.end:
            return
        if abs(end - trainer.schedule.end) > 0.05 * trainer.schedule.end:
            self.run_log.event(trainer.step, "horizon", f"to end at step {end}")
        was_known = trainer.schedule.known_end
        trainer.schedule = trainer.schedule.with_end(trainer.step, end)
        if not was_known:
            self._warn_of_repeats()
        self.run_log.progress.total = end

    def _warn_of_repeats(self) -> None:
        """Say which sources will be read so often that the model learns them by heart."""
        end, batches = self.trainer.schedule.known_end, self.trainer.batches
        if not end or not self.trainer.group.is_rank_zero:
            return
        for name, times in batches.readings(end).items():
            if times > OFTEN:
                log.warning(
                    "%s will be read %.0f times; more than %d teach little, and it is learnt by "
                    "heart: add text, lower its share, or train for a shorter time",
                    name,
                    times,
                    OFTEN,
                )

    def _roll_back(self, why: str) -> None:
        trainer, step = self.trainer, self.trainer.step
        if trainer.spike_guard.rollbacks >= MOST_ROLLBACKS:
            raise RunError(
                f"step {step}: going back did not help {MOST_ROLLBACKS} times; the last saved "
                "state is sound: lower the learning rate and run the same command again"
            )
        trainer.pending_row = None
        self.checkpoints.finish()
        trainer.roll_back(trainer.group.broadcast_object(self.checkpoints.newest))
        text = f"back to step {trainer.step}, the rate times {trainer.spike_guard.rate_scale:g}"
        log.warning("step %d: %s: %s", step, why, text)
        self.run_log.rewind(trainer.step)
        self.run_log.event(step, "rollback", text)

    def _stop(self, signal_number: int) -> None:
        trainer = self.trainer
        if trainer.step != self.saved and trainer.is_finite():
            self._save(False)
        self.checkpoints.finish()
        trainer.group.barrier()
        self.run_log.event(trainer.step, "stopped", signal.Signals(signal_number).name)
        raise Stopped(
            f"stopped at step {_place(trainer, ' of ')}, which is saved; "
            "the same command, without --resume or --no-resume, goes on from there",
            signal_number,
        )


def _place(trainer: Trainer, of: str) -> str:
    """The step, and the last one where it is known."""
    end = trainer.schedule.known_end
    return f"{trainer.step}{of}{end}" if end else f"{trainer.step}"


def _verdict(trainer: Trainer) -> dict[str, float]:
    """The journal's columns of one evaluation, and a line of it for people."""
    value, bits = trainer.metric("loss"), trainer.metric("bits_per_byte")
    log.info(
        "step %s: validation loss %.4f nats per token, %.4f bits per byte%s",
        _place(trainer, "/"),
        value,
        bits,
        " (best)" if value == trainer.best else "",
    )
    row = {
        "val_loss": value,
        "val_loss_raw": trainer.metric("loss", trainer.raw_evaluations),
        "best_val_loss": trainer.best,
        "best_val_loss_raw": trainer.best_raw,
        "val_bits_per_byte": bits,
    }
    if trainer.ema is not None:
        row |= {"val_loss_ema": value, "best_val_loss_ema": trainer.best}
    return row
