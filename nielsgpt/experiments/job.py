"""One trial's job: everything that decides how fast it runs, and nothing else."""

from typing import Any

import torch

from nielsgpt import __version__
from nielsgpt.config.section import Count, Section
from nielsgpt.config.settings import ModelSettings, PhaseSettings
from nielsgpt.system import machine
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.system.workspace import fingerprint

READY = "ready"  # the line that a trial writes when only its steps are left
Row = dict[str, Any]  # a result: a line of results.jsonl


class TrialJob(Section):
    """A model, a batch, and the engine with its micro-batch; `seconds` is the time to measure."""

    shape: ModelSettings
    vocab_size: Count
    batch_size: Count
    optimizer: str
    activation_checkpointing: bool
    engine: ExecutionConfig
    seconds: float

    @property
    def module(self) -> str:
        """What measures it."""
        return "nielsgpt.experiments.trial"

    def facts(self) -> dict[str, Any]:
        """The same as plain values."""
        return self.model_dump(mode="json")

    @property
    def phase(self) -> PhaseSettings:
        """The phase that is timed: nothing is ever skipped in it."""
        return PhaseSettings.model_validate(
            {
                "batch_size": self.batch_size,
                "micro_batch_size": self.engine.micro_batch_size,
                "optimizer": self.optimizer,
                "activation_checkpointing": self.activation_checkpointing,
                "outlier_sigmas": 0.0,
            }
        )

    @property
    def key(self) -> str:
        """Names the machine, the versions and the job; not how long is measured."""
        gpu = None
        if self.engine.device.startswith("cuda"):
            gpu = str(torch.cuda.get_device_name(self.engine.device))
        job = self.model_dump(mode="json", exclude={"seconds"})
        return fingerprint(machine.facts(), gpu, __version__, job)
