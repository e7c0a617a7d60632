"""A pilot: a candidate trained for a few seconds, to the end of its schedule, on the real caches.

`python -m nielsgpt.experiments.pilot` reads a pilot as a line of JSON and writes its result, as
bench/child.py says.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nielsgpt import __version__
from nielsgpt.config.section import Section
from nielsgpt.config.settings import Settings
from nielsgpt.experiments import worker
from nielsgpt.experiments.job import Row
from nielsgpt.model.gpt import parameter_count
from nielsgpt.system import device
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.system.workspace import Workspace, fingerprint
from nielsgpt.tokenizers import registry
from nielsgpt.training import build

IRRELEVANT = {"checkpoint_every", "keep_checkpoints", "log_every", "minutes"}


class Pilot(Section):
    """Settings whose max_steps are the pilot's, where their files lie, and what those hold."""

    root: str
    settings: Settings
    engine: ExecutionConfig
    data: str

    @property
    def module(self) -> str:
        """What trains it."""
        return "nielsgpt.experiments.pilot"

    @property
    def key(self) -> str:
        """Names what decides its loss; the machine only so far as its precision."""
        settings = self.settings
        phase = settings.training.pretrain.model_dump(mode="json", exclude=IRRELEVANT)
        shape = settings.model.model_dump(mode="json")
        mix = settings.data.mix_pretrain
        engine = self.engine.precision, self.engine.device.partition(":")[0]
        return fingerprint(__version__, shape, phase, mix, settings.seed, self.data, engine)

    def facts(self) -> dict[str, Any]:
        """The same as plain values."""
        return self.model_dump(mode="json")


def train_pilot(pilot: Pilot, ready: Callable[[], None]) -> Row:
    """Bits per byte of the best evaluation, for that state is what a run keeps, with the tokens it
    took, the seconds a step, and what evaluating takes as a part of training on as many rows."""
    workspace = Workspace(Path(pilot.root), pilot.settings)
    device.apply_execution(pilot.engine.device, pilot.engine.threads)
    tokenizer = registry.load(workspace.tokenizer)
    model = build.model_at_start(workspace, "pretrain", tokenizer, {})
    trainer = build.assemble_trainer(workspace, "pretrain", tokenizer, model, pilot.engine)
    ready()
    steps, every = trainer.phase.max_steps, trainer.phase.eval_every
    best, spent, evaluation = math.inf, 0.0, 0.0
    for start in range(0, steps, every):
        began = time.perf_counter()
        for _ in range(start, min(start + every, steps)):
            trainer.train_step()
        device.synchronize(pilot.engine.device)
        spent += (took := time.perf_counter() - began)
        trainer.evaluate()
        evaluation = time.perf_counter() - began - took
        best = min(best, trainer.metric("bits_per_byte"))
    return {
        "bits_per_byte": best,
        "params": parameter_count(trainer.model),
        "tokens": steps * trainer.phase.batch_size * model.context_length,
        "step_s": spent / steps,
        "evaluating": evaluation / trainer.phase.eval_batches / (spent / steps),
    }


if __name__ == "__main__":
    worker.answer(Pilot.model_validate_json, train_pilot)
