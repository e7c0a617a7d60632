"""How a run is getting on: the lines that it prints, and how many steps it does in a second."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nielsgpt.micro import scenarios
from nielsgpt.micro.scenarios import Scenario
from nielsgpt.micro.training import Run, Update

LINE_EVERY = 100
PARTS = {"fwd": "forward_s", "bwd": "backward_s", "opt": "optimizer_s"}


def lines(run: Run, timing: bool, spell: Callable[[float], str] | None) -> Iterator[str]:
    """Train the run, yielding a line after the first step, every hundredth and the last.

    Losses and times are means since the line before; `spell` writes the seconds that are left.
    """
    began = time.perf_counter()
    unsaid: list[Update] = []
    for step, update in enumerate(run.train(), 1):
        unsaid.append(update)
        if step == 1 or step % LINE_EVERY == 0 or step == run.updates:
            per_s = step / (time.perf_counter() - began)
            words = [f"step {step} / {run.updates}", f"loss {mean(unsaid, 'loss'):.4f}"]
            words.append(f"{per_s:.1f} step/s")
            if spell:
                words.append(f"ETA {spell((run.updates - step) / per_s)}")
            for name, part in PARTS.items() if timing else ():
                words.append(f"{name} {1000 * mean(unsaid, part):.3f} ms")
            yield " | ".join(words)
            unsaid.clear()


def mean(updates: list[Update], part: str) -> float:
    """The mean of one figure over some updates."""
    return sum(float(getattr(update, part)) for update in updates) / len(updates)


def steps_per_s(root: Path, scenario: Scenario, steps: int) -> float:
    """How many updates a scenario does in a second; the first, which warms up, is not counted."""
    updates = steps + 1
    run = Run(root, scenarios.changed(scenario, num_steps=updates * scenario.training.grad_accum))
    training = run.train()
    next(training)
    began = time.perf_counter()
    for _ in training:
        pass
    return steps / (time.perf_counter() - began)
