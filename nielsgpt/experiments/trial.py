"""A trial: the speed of nielsgpt's trainer on random tokens, measured in a worker process.

`python -m nielsgpt.experiments.trial` is the worker; see `worker.serve_job`.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from nielsgpt import __version__
from nielsgpt.config.section import Count, Section
from nielsgpt.config.settings import ModelSettings, PhaseSettings
from nielsgpt.data.cache.loader import Batch, Mixture
from nielsgpt.experiments import worker
from nielsgpt.experiments.worker import ResultRow
from nielsgpt.model.gpt import GPT, parameter_count
from nielsgpt.system import device, machine
from nielsgpt.system.atomic_files import fingerprint
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.training import memory_estimate
from nielsgpt.training.loss import exponentials, linear_cross_entropy
from nielsgpt.training.trainer import Trainer

WARMUP_STEPS = 2
MAX_STEPS = 1000
PROBE_TOKENS = 8


class TrialJob(Section):
    """Everything that decides the speed of a step: model, batch size and execution config.

    `seconds` is the time to measure. In JSON the execution config is called `engine`.
    """

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    shape: ModelSettings
    vocab_size: Count
    batch_size: Count
    optimizer: str
    activation_checkpointing: bool
    execution: ExecutionConfig = Field(alias="engine")
    seconds: float

    @property
    def module(self) -> str:
        """The worker's module."""
        return "nielsgpt.experiments.trial"

    @property
    def phase(self) -> PhaseSettings:
        """The settings of the timed phase, in which no step is skipped as an outlier."""
        return PhaseSettings.model_validate(
            {
                "batch_size": self.batch_size,
                "micro_batch_size": self.execution.micro_batch_size,
                "optimizer": self.optimizer,
                "activation_checkpointing": self.activation_checkpointing,
                "outlier_sigmas": 0.0,
            }
        )

    @property
    def key(self) -> str:
        """A fingerprint of the machine, the versions and the job without `seconds`."""
        gpu = None
        if self.execution.device.startswith("cuda"):
            gpu = str(torch.cuda.get_device_name(self.execution.device))
        job = self.model_dump(mode="json", exclude={"seconds"})
        return fingerprint(machine.facts(), gpu, __version__, job)

    def to_dict(self) -> dict[str, Any]:
        """The job as JSON values."""
        return self.model_dump(mode="json")


class SyntheticBatches(Mixture):
    """Batches of random ids, without files, so that only the model is timed."""

    def __init__(self, vocab_size: int, rows: int, context_length: int) -> None:
        super().__init__({}, {}, rows, seed=0)
        self.vocab_size = vocab_size
        self.shape = (rows, context_length + 1)

    def batch(self, step: int, drawn: int | None = None) -> Batch:
        """The batch of a step."""
        generator = torch.Generator().manual_seed(step)
        ids = torch.randint(self.vocab_size, self.shape, generator=generator).numpy()
        return Batch(ids[:, :-1].copy(), ids[:, 1:].copy())


def measure_trial(job: TrialJob, ready: Callable[[], None]) -> ResultRow:
    """The speed, memory and dtypes of a job's steps, or why it failed; calls `ready` before it
    starts to measure."""
    return worker.catch_failure(lambda: _measure(job, ready))


def _measure(job: TrialJob, ready: Callable[[], None]) -> dict[str, Any]:
    started = time.perf_counter()
    trainer = _build_trainer(job)
    dtypes = _probe_dtypes(trainer.model)
    if job.execution.compiled:
        _time_step(trainer)
    prepare_s = time.perf_counter() - started
    ready()
    seconds = _time_steps(trainer, job.seconds)
    step_s, tokens = statistics.median(seconds), job.batch_size * job.shape.context_length
    return {
        "params": parameter_count(trainer.model),
        "ms_per_step": 1000 * step_s,
        "tokens_per_second": tokens / step_s,
        "steps_timed": len(seconds),
        "prepare_s": prepare_s,
        "peak_bytes": memory_estimate.peak_bytes(job.execution.device),
        "dtypes": dtypes,
    }


def _build_trainer(job: TrialJob) -> Trainer:
    execution = job.execution
    device.apply_execution(execution.device, execution.threads)
    torch.manual_seed(0)
    model = GPT(job.shape, job.vocab_size)
    batches = SyntheticBatches(job.vocab_size, job.batch_size, job.shape.context_length)
    return Trainer(model, job.phase, execution, batches, {}, {}, torch.zeros(0), seed=0)


def _time_steps(trainer: Trainer, budget_s: float) -> list[float]:
    """Seconds of each step that fits into the budget, without the warm-up steps.

    At least one step is timed; if even one step exceeds the budget, it is the second.
    """
    seconds: list[float] = []
    left_s = budget_s
    while len(seconds) < MAX_STEPS:
        seconds.append(_time_step(trainer))
        left_s -= seconds[-1]
        enough = WARMUP_STEPS + 1 if seconds[-1] <= budget_s else WARMUP_STEPS
        if len(seconds) >= enough and left_s < seconds[-1]:
            break
    return seconds[WARMUP_STEPS:] or seconds[-1:]


def _time_step(trainer: Trainer) -> float:
    started = time.perf_counter()
    trainer.train_step()
    device.synchronize(trainer.execution.device)
    if trainer.micro_batch_reduced:
        raise MemoryError("out of memory: the trainer had to reduce the micro-batch")
    return time.perf_counter() - started


@torch.no_grad()
def _probe_dtypes(model: GPT) -> dict[str, str]:
    """The dtypes that a short forward pass really computes in."""
    dtypes = {"weights": model.head_weight.dtype}
    block: Any = model.blocks[0]
    attend = block.attention.attend

    def record_attention(*inputs: Any) -> Tensor:
        output: Tensor = attend(*inputs)
        dtypes["attention"] = output.dtype
        return output

    def record_mlp(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        dtypes["mlp"] = inputs[0].dtype

    def record_logits(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dtypes["logits"] = logits.dtype
        return exponentials(logits)

    ids = torch.zeros(1, min(PROBE_TOKENS, model.context_length), dtype=torch.int64)
    ids = ids.to(model.head_weight.device)
    hook = block.mlp.down.register_forward_pre_hook(record_mlp)
    block.attention.attend = record_attention
    linear_cross_entropy(model.trunk(ids), model.head_weight, ids, kernel=record_logits)
    block.attention.attend = attend
    hook.remove()
    return {name: str(dtype).removeprefix("torch.") for name, dtype in sorted(dtypes.items())}


if __name__ == "__main__":
    worker.serve_job(TrialJob.model_validate_json, measure_trial)
