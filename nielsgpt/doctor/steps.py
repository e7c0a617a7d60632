"""A tiny model in which every weight matters, and its training step as tested or in float64."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from nielsgpt.config.settings import ModelSettings, PhaseSettings
from nielsgpt.data.cache.loader import IGNORED
from nielsgpt.model.gpt import GPT
from nielsgpt.system.device import DTYPES, ExecutionConfig
from nielsgpt.training.grad_scaler import GradScaler
from nielsgpt.training.loss import ForwardBackward, prepare_model
from nielsgpt.training.optimizer import Optimizer

SHAPE = {"n_head": 2, "n_embd": 64, "context_length": 32}
VOCAB_SIZE = 300
ROWS = 4
WEIGHT_STD = 0.1
MASKED_SHARE = 0.6  # of the targets
# As large as the weights, so that a weight's rounding is small beside its change.
LEARNING_RATE = 0.05
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class StepResult:
    """The loss in nats per token, each parameter's gradient by name as float64 on the CPU, and the
    seconds from ids to gradients."""

    loss: float
    gradients: Tensors
    seconds: float


class Float64Mode(TorchFunctionMode):
    """Replaces every other float dtype that code asks for by float64: the same code, exact."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The operation, in float64."""
        options = {name: _widen(value) for name, value in (kwargs or {}).items()}
        is_cast = func in (Tensor.float, Tensor.bfloat16, Tensor.half)
        return (Tensor.double if is_cast else func)(*map(_widen, args), **options)


def _widen(value: Any) -> Any:
    return torch.float64 if any(value is dtype for dtype in DTYPES.values()) else value


def build_dense_model(variant: str, layers: int, seed: int) -> GPT:
    """A model without zero weights; the output projections of a new model are zero and would hide
    every error.

    Its weights are exact in bfloat16, so that rounding them adds nothing to the measured error.
    The global random state does not change.
    """
    with torch.random.fork_rng(devices=[]):
        shape = ModelSettings.model_validate({"variant": variant, "n_layer": layers, **SHAPE})
        model = GPT(shape, VOCAB_SIZE)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            mean = 1.0 if name.endswith("norm.weight") else 0.0
            noise = torch.randn(parameter.shape, generator=generator) * WEIGHT_STD
            parameter.copy_((mean + noise).bfloat16())
    return model.train()


def draw_batch(seed: int, masked: bool) -> tuple[Tensor, Tensor]:
    """Ids and targets, both (B, T); with `masked`, more than half of the targets do not count."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(VOCAB_SIZE, (ROWS, SHAPE["context_length"] + 1), generator=generator)
    inputs, targets = ids[:, :-1], ids[:, 1:].clone()
    if masked:
        targets[torch.rand(targets.shape, generator=generator) < MASKED_SHARE] = IGNORED
    return inputs, targets


class StepUnderTest:
    """A dense model with an execution config; it compiles what the trainer compiles."""

    def __init__(self, execution: ExecutionConfig, variant: str, layers: int, seed: int) -> None:
        self.execution = execution
        self.scale = GradScaler(execution.dtype).value
        self.model = prepare_model(build_dense_model(variant, layers, seed), execution)
        self.forward_backward = ForwardBackward(self.model, execution)

    def run_step(self, inputs: Tensor, targets: Tensor) -> StepResult:
        """Loss and gradients, computed as the trainer computes them."""
        started = time.perf_counter()
        self.model.zero_grad(set_to_none=True)
        count = int((targets != IGNORED).sum())
        nats = self.forward_backward(inputs, targets, self.scale / count).item()  # synchronizes
        seconds = time.perf_counter() - started
        parameters = self.model.named_parameters()
        gradients = {
            n: _to_float64(p.grad) / self.scale for n, p in parameters if p.grad is not None
        }
        return StepResult(nats / count, gradients, seconds)

    def run_optimizer(self, name: str, gradients: Iterable[Tensors]) -> Tensors:
        """The change of each weight after one optimizer step for each set of gradients."""
        rates = {"learning_rate": LEARNING_RATE, "muon_learning_rate": LEARNING_RATE}
        optimizer = Optimizer(
            self.model, PhaseSettings.model_validate({**rates, "optimizer": name})
        )
        parameters = dict(self.model.named_parameters())
        before = {name: _to_float64(p) for name, p in parameters.items()}
        for step_gradients in gradients:
            for name, parameter in parameters.items():
                gradient = step_gradients[name] * self.scale
                gradient = gradient.to(parameter.dtype)  # on the CPU: MPS has no float64
                parameter.grad = gradient.to(self.execution.device)
            optimizer.clip(self.scale)
            optimizer.step(LEARNING_RATE)
        return {name: _to_float64(p) - before[name] for name, p in parameters.items()}


class Float64Step(StepUnderTest):
    """The same step on the CPU in float64, uncompiled, with plain attention."""

    def __init__(self, variant: str, layers: int, seed: int) -> None:
        execution = ExecutionConfig("cpu", "fp32", "plain", False, torch.get_num_threads())
        super().__init__(execution, variant, layers, seed)
        self.model.double().compute_dtype = torch.float64

    def run_step(self, inputs: Tensor, targets: Tensor) -> StepResult:
        """Loss and gradients in float64."""
        with Float64Mode():
            return super().run_step(inputs, targets)

    def run_optimizer(self, name: str, gradients: Iterable[Tensors]) -> Tensors:
        """The change of each weight in float64."""
        with Float64Mode():
            return super().run_optimizer(name, gradients)


def _to_float64(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().double().clone()
