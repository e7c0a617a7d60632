"""A tiny model whose every weight counts, and its training step on an engine or in float64."""

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
from nielsgpt.training.forward_backward import ForwardBackward, prepare_model
from nielsgpt.training.grad_scaler import GradScaler
from nielsgpt.training.optimizer import Optimizer

SHAPE = {"n_head": 2, "n_embd": 64, "context_length": 32}
VOCABULARY, ROWS, SPREAD = 300, 4, 0.1
# As large as the weights, so that what rounding does to a weight is small beside its change.
RATE = 0.05
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Step:
    """The loss in nats per token, each gradient by its parameter's name as float64 on the CPU, and
    the seconds from ids to gradients."""

    loss: float
    gradients: Tensors
    seconds: float


class InFloat64(TorchFunctionMode):
    """Makes every float64 where the code beneath asks for another float: the same code, exact."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The operation, on float64."""
        named = {name: _widen(value) for name, value in (kwargs or {}).items()}
        narrow = func in (Tensor.float, Tensor.bfloat16, Tensor.half)
        return (Tensor.double if narrow else func)(*map(_widen, args), **named)


def _widen(value: Any) -> Any:
    return torch.float64 if any(value is dtype for dtype in DTYPES.values()) else value


def lively(variant: str, layers: int, seed: int) -> GPT:
    """A model with no weight at zero: a fresh one has zero output maps, which hide every error.

    Its weights are exact in bfloat16, so that rounding *them* adds nothing to what is measured. The
    random state of the process stays as it is.
    """
    with torch.random.fork_rng(devices=[]):
        shape = ModelSettings.model_validate({"variant": variant, "n_layer": layers, **SHAPE})
        model = GPT(shape, VOCABULARY)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if name.endswith("norm.weight") else 0.0
            noise = torch.randn(parameter.shape, generator=draw) * SPREAD
            parameter.copy_((centre + noise).bfloat16())
    return model.train()


def batch(seed: int, masked: bool) -> tuple[Tensor, Tensor]:
    """Ids and targets, (B, T) both; where masked, more than half of the targets do not count."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(VOCABULARY, (ROWS, SHAPE["context_length"] + 1), generator=draw)
    inputs, targets = ids[:, :-1], ids[:, 1:].clone()
    if masked:
        targets[torch.rand(targets.shape, generator=draw) < 0.6] = IGNORED
    return inputs, targets


class StepUnderTest:
    """A lively model with an execution config; what the trainer compiles is compiled here too."""

    def __init__(self, execution: ExecutionConfig, variant: str, layers: int, seed: int) -> None:
        self.execution = execution
        self.scale = GradScaler(execution.dtype).value
        self.model = prepare_model(lively(variant, layers, seed), execution)
        self.forward_backward = ForwardBackward(self.model, execution)

    def step(self, inputs: Tensor, targets: Tensor) -> Step:
        """Loss and gradients, computed as the trainer computes them."""
        began = time.perf_counter()
        self.model.zero_grad(set_to_none=True)
        counted = int((targets != IGNORED).sum())
        nats = self.forward_backward(inputs, targets, self.scale / counted).item()  # synchronizes
        seconds = time.perf_counter() - began
        parameters = self.model.named_parameters()
        gradients = {n: _exact(p.grad) / self.scale for n, p in parameters if p.grad is not None}
        return Step(nats / counted, gradients, seconds)

    def updates(self, optimizer: str, gradients: Iterable[Tensors]) -> Tensors:
        """What the optimizer adds to each weight over one step for each of the gradients."""
        numbers = {"learning_rate": RATE, "muon_learning_rate": RATE, "optimizer": optimizer}
        stepping = Optimizer(self.model, PhaseSettings.model_validate(numbers))
        parameters = dict(self.model.named_parameters())
        before = {name: _exact(p) for name, p in parameters.items()}
        for given in gradients:
            for name, parameter in parameters.items():
                gradient = (given[name] * self.scale).to(parameter.dtype)  # MPS has no float64
                parameter.grad = gradient.to(self.execution.device)
            stepping.clip(self.scale)
            stepping.step(RATE)
        return {name: _exact(p) - before[name] for name, p in parameters.items()}


class Float64Step(StepUnderTest):
    """The same on the CPU in float64, uncompiled, with plain attention."""

    def __init__(self, variant: str, layers: int, seed: int) -> None:
        execution = ExecutionConfig("cpu", "fp32", "plain", False, torch.get_num_threads())
        super().__init__(execution, variant, layers, seed)
        self.model.double().compute_dtype = torch.float64

    def step(self, inputs: Tensor, targets: Tensor) -> Step:
        """Loss and gradients."""
        with InFloat64():
            return super().step(inputs, targets)

    def updates(self, optimizer: str, gradients: Iterable[Tensors]) -> Tensors:
        """What the optimizer adds to each weight."""
        with InFloat64():
            return super().updates(optimizer, gradients)


def _exact(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().double().clone()
