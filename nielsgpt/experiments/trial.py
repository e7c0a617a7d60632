"""One measured run, in a process of its own: `python -m nielsgpt.experiments.trial`.

A job comes in as a line of JSON on stdin. Out come, on stdout, the line `ready` when only the steps
are left, and one line of JSON: the result. What is timed is nielsgpt's trainer, whole, on random
tokens. Started with the word `supervised`, the process ends as soon as its stdin does.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nielsgpt.data.cache.loader import Batch, Mixture
from nielsgpt.experiments import worker
from nielsgpt.experiments.job import Row, TrialJob
from nielsgpt.model.gpt import GPT, parameter_count
from nielsgpt.system import device
from nielsgpt.training import memory_estimate
from nielsgpt.training.loss import exponentials, linear_cross_entropy
from nielsgpt.training.trainer import Trainer

WARM_UP, MOST_STEPS, PROBED_TOKENS = 2, 1000, 8


class SyntheticBatches(Mixture):
    """Batches of random ids: no files, so nothing but the model is timed."""

    def __init__(self, vocab_size: int, rows: int, context_length: int) -> None:
        super().__init__({}, {}, rows, seed=0)
        self.vocab_size, self.shape = vocab_size, (rows, context_length + 1)

    def batch(self, step: int, drawn: int | None = None) -> Batch:
        """The batch of a step."""
        draw = torch.Generator().manual_seed(step)
        ids = torch.randint(self.vocab_size, self.shape, generator=draw).numpy()
        return Batch(ids[:, :-1].copy(), ids[:, 1:].copy())


def measure_trial(job: TrialJob, ready: Callable[[], None]) -> Row:
    """The result of a job: its status, and where that is ok, what was measured."""
    return worker.attempt(lambda: _measure(job, ready))


def _measure(job: TrialJob, ready: Callable[[], None]) -> dict[str, Any]:
    began = time.perf_counter()
    trainer = _trainer(job)
    dtypes = _dtypes(trainer.model)
    if job.engine.compiled:
        _step_s(trainer)
    prepared = time.perf_counter() - began
    ready()
    seconds = _time_steps(trainer, job.seconds)
    step, tokens = statistics.median(seconds), job.batch_size * job.shape.context_length
    return {
        "params": parameter_count(trainer.model),
        "ms_per_step": 1000 * step,
        "tokens_per_second": tokens / step,
        "steps_timed": len(seconds),
        "prepare_s": prepared,
        "peak_bytes": memory_estimate.peak_bytes(job.engine.device),
        "dtypes": dtypes,
    }


def _trainer(job: TrialJob) -> Trainer:
    engine, phase = job.engine, job.phase
    device.apply_execution(engine.device, engine.threads)
    torch.manual_seed(0)
    model = GPT(job.shape, job.vocab_size)
    rows = SyntheticBatches(job.vocab_size, job.batch_size, job.shape.context_length)
    return Trainer(model, phase, engine, rows, {}, {}, torch.zeros(0), seed=0)


def _time_steps(trainer: Trainer, budget_s: float) -> list[float]:
    """Seconds of as many steps as fit into the budget, after two that warm up, and of one at the
    least; of a step that is longer than the budget, the second one's."""
    taken: list[float] = []
    left = budget_s
    while len(taken) < MOST_STEPS:
        taken.append(_step_s(trainer))
        left -= taken[-1]
        enough = WARM_UP + 1 if taken[-1] <= budget_s else WARM_UP
        if len(taken) >= enough and left < taken[-1]:
            break
    return taken[WARM_UP:] or taken[-1:]


def _step_s(trainer: Trainer) -> float:
    began = time.perf_counter()
    trainer.train_step()
    device.synchronize(trainer.execution.device)
    if trainer.micro_batch_reduced:
        raise MemoryError("out of memory: the trainer had to lower the micro-batch")
    return time.perf_counter() - began


@torch.no_grad()
def _dtypes(model: GPT) -> dict[str, str]:
    """The dtype of what really flows, looked at in a short forward pass."""
    seen = {"weights": model.head_weight.dtype}
    block: Any = model.blocks[0]
    attend = block.attention.attend

    def attention(*inputs: Any) -> Tensor:
        product: Tensor = attend(*inputs)
        seen["attention"] = product.dtype
        return product

    def inner(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen["mlp"] = inputs[0].dtype

    def logits(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen["logits"] = values.dtype
        return exponentials(values)

    ids = torch.zeros(1, min(PROBED_TOKENS, model.context_length), dtype=torch.int64)
    ids = ids.to(model.head_weight.device)
    hook = block.mlp.down.register_forward_pre_hook(inner)
    block.attention.attend = attention
    linear_cross_entropy(model.trunk(ids), model.head_weight, ids, kernel=logits)
    block.attention.attend = attend
    hook.remove()
    return {name: str(dtype).removeprefix("torch.") for name, dtype in sorted(seen.items())}


if __name__ == "__main__":
    worker.answer(TrialJob.model_validate_json, measure_trial)
