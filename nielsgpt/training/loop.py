"""The loop around the steps: evaluate, save, plan, go back, stop when asked."""

import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal, Protocol

from nielsgpt.errors import RunError, Stopped
from nielsgpt.training.clock import Clock
from nielsgpt.training.guard import MOST_ROLLBACKS
from nielsgpt.training.journal import Journal
from nielsgpt.training.trainer import Abandoned, Row, Trainer

log = logging.getLogger("nielsgpt")
Outcome = Literal["done", "early stop"]
Sampler = Callable[[Trainer], Sequence[tuple[str, str]]]


class Store(Protocol):
    """Where states go, and come back from."""

    def save(self, trainer: Trainer, improved: bool) -> None: ...

    def newest(self) -> Mapping[str, Any] | None: ...

    def finish(self) -> None: ...


class Loop:
    """One session of a phase: its trainer, its notes, its states, its time and its samples."""

    def __init__(
        self,
        trainer: Trainer,
        journal: Journal,
        store: Store,
        clock: Clock | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        self.trainer, self.journal, self.store = trainer, journal, store
        self.clock, self.sampler, self.first = clock, sampler, trainer.step
        self.saved = trainer.step if trainer.step else -1
        self.earlier, self.began = trainer.seconds, time.monotonic()

    def run(self) -> Outcome:
        """Train to the phase's last step, or its last minute, and save.

        Raises Stopped after saving when the process is asked to end, and RunError when going back
        again and again does not help.
        """
        trainer = self.trainer
        try:
            with _asked_to_stop() as asked, self.journal.progress:
                trainer.interrupted = lambda: bool(asked)
                while trainer.step < trainer.horizon.end and not trainer.out_of_patience:
                    try:
                        self._step()
                    except Abandoned:
                        self._stop(asked[0])
                    if asked:
                        self._stop(asked[0])
        finally:
            self.store.finish()
        return "early stop" if trainer.out_of_patience else "done"

    def _step(self) -> None:
        trainer, phase = self.trainer, self.trainer.phase
        row = trainer.train_step()
        if row["skipped"]:
            self._skipped(row)
            if trainer.guard.wants_rollback(trainer.step):
                self._roll_back()
                return
        self._plan()
        done, improved = trainer.step >= trainer.horizon.end, False
        if done or trainer.step % phase.eval_every == 0:
            improved = self._evaluate(row)
            done = done or trainer.out_of_patience
        self.journal.record(row, trainer.evaluations if "val_loss" in row else {})
        if improved or done or trainer.step % phase.checkpoint_every == 0:
            self._save(improved)

    def _save(self, improved: bool) -> None:
        self.trainer.seconds = self.earlier + time.monotonic() - self.began
        self.store.save(self.trainer, improved)
        self.saved = self.trainer.step

    def _evaluate(self, row: Row) -> bool:
        """Measure, note and show; true when it is the best so far."""
        began, trainer = time.monotonic(), self.trainer
        improved = trainer.evaluate()
        row |= _verdict(trainer)
        if self.sampler is not None:
            self.journal.samples(trainer.step, self.sampler(trainer))
        if trainer.out_of_patience:
            log.info("no better evaluation in %d: ending early", trainer.waited)
            self.journal.event(trainer.step, "early stop", f"{trainer.waited} evaluations")
        if self.clock is not None:
            self.clock.reserve(time.monotonic() - began)
        return improved

    def _plan(self) -> None:
        """Move the end to where the time budget ends at the pace so far."""
        if self.clock is None:
            return
        trainer = self.trainer
        end = self.clock.end(trainer.step, self.first)
        if end is None or end == trainer.horizon.end:
            return
        if abs(end - trainer.horizon.end) > 0.05 * trainer.horizon.end:
            self.journal.event(trainer.step, "horizon", f"to end at step {end}")
        trainer.horizon = trainer.horizon.moved(trainer.step, end)
        self.journal.progress.total = end

    def _skipped(self, row: Row) -> None:
        log.warning("step %d: skipped, for %s", row["iter"], row["skipped"])
        self.journal.event(row["iter"], "skip", row["skipped"])

    def _roll_back(self) -> None:
        trainer, step = self.trainer, self.trainer.step
        if trainer.guard.rollbacks >= MOST_ROLLBACKS:
            raise RunError(
                f"step {step}: going back did not help {MOST_ROLLBACKS} times; the last saved "
                "state is sound: lower the learning rate and run the same command again"
            )
        trainer.roll_back(self.store.newest())
        text = f"back to step {trainer.step}, the rate times {trainer.guard.rate_scale:g}"
        log.warning("step %d: too many steps skipped: %s", step, text)
        self.journal.rewind(trainer.step)
        self.journal.event(step, "rollback", text)

    def _stop(self, signal_number: int) -> None:
        trainer = self.trainer
        if trainer.step != self.saved:
            self._save(False)
        self.store.finish()
        self.journal.event(trainer.step, "stopped", signal.Signals(signal_number).name)
        raise Stopped(
            f"stopped at step {trainer.step} of {trainer.horizon.end}, which is saved; "
            "the same command, without --resume or --no-resume, goes on from there",
            signal_number,
        )


def _verdict(trainer: Trainer) -> dict[str, float]:
    """The journal's columns of one evaluation, and a line of it for people."""
    value, bits = trainer.metric("loss"), trainer.metric("bits_per_byte")
    log.info(
        "step %d/%d: validation loss %.4f nats per token, %.4f bits per byte%s",
        trainer.step,
        trainer.horizon.end,
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
    if trainer.average is not None:
        row |= {"val_loss_ema": value, "best_val_loss_ema": trainer.best}
    return row


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
