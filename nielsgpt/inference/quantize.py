"""Weight formats for inference: float32 as trained, bfloat16, or int8.

Decoding is bound by reading the weights once for every token, so smaller ones are faster. With
bfloat16 and int8 weights, everything between the embedding and the logits is bfloat16, and on CPUs
a row's numbers do not depend on how many other rows are computed with it.

int8: each row of a matrix is int8 times one scale; the largest error of a weight is half a scale.
"""

import time
from collections.abc import Callable
from copy import deepcopy
from statistics import median
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nielsgpt.config.settings import GenerationSettings
from nielsgpt.inference.batcher import Batcher, GenerationRequest
from nielsgpt.inference.sampling import make_generator
from nielsgpt.model.gpt import GPT
from nielsgpt.model.layers import Linear
from nielsgpt.system import device, machine
from nielsgpt.system.atomic_files import fingerprint

WeightFormat = Literal["float32", "bfloat16", "int8"]
MAX_INT8_TOKENS = 16  # with more tokens in a row, converting the weights to bfloat16 is faster
BLOCK = 16  # numbers that the int8 kernel reads at once, even beyond the end of a row
TIMING_ROUNDS = 3
TIMING_TOKENS = 24
MAX_RELATIVE_TIME = 0.9  # of float32's, for a smaller format to be chosen


class CastLinear(nn.Module):
    """A linear layer with bfloat16 weights."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = weight.bfloat16()
        self.bias = None if bias is None else bias.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return F.linear(x, self.weight, self.bias)


class PackedLinear(nn.Module):
    """The same, with weights in the order that oneDNN's kernels read, so none reorders them."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.bfloat16(), MAX_INT8_TOKENS)
        self.bias = None if bias is None else bias.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, "none", [], ""
        )
        return product


class QuantizedLinear(nn.Module):
    """A linear layer with int8 weights and one scale for each output."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        # The scale is rounded before the weights are, so its own rounding costs nothing.
        self.scale = (weight.abs().amax(1) / 127).clamp(min=1e-12).bfloat16()  # (out,)
        rounded = (weight / self.scale.float()[:, None]).round()
        self.padding = -weight.size(1) % BLOCK
        self.weight = F.pad(rounded.clamp(-127, 127).to(torch.int8), (0, self.padding))
        self.bias = None if bias is None else bias.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        """(..., T, in) -> (..., T, out)."""
        if self.padding:
            x = F.pad(x, (0, self.padding))
        if x.size(-2) > MAX_INT8_TOKENS:
            return F.linear(x, self.weight.bfloat16() * self.scale[:, None], self.bias)
        rows = x.reshape(-1, x.size(-1))
        product = torch._weight_int8pack_mm(rows, self.weight, self.scale)
        if self.bias is not None:
            product = product + self.bias
        return product.view(*x.shape[:-1], -1)


def list_weight_formats(device_name: str) -> tuple[WeightFormat, ...]:
    """The weight formats that this device supports."""
    if device_name == "cpu":
        return ("float32", "bfloat16", "int8")
    return ("float32", "bfloat16") if device.computes_bf16(device_name) else ("float32",)


def convert_weights(model: GPT, weight_format: WeightFormat) -> GPT:
    """Convert the model's weights in place; it can no longer be trained."""
    if weight_format == "float32":
        return model
    linear = _choose_linear(weight_format, str(model.embedding.weight.device))
    model.unembedding = linear(model.head_weight.detach(), None)  # type: ignore[assignment]
    model.embedding.to(torch.bfloat16)
    for module in list(model.blocks.modules()):
        for name, part in module.named_children():
            if isinstance(part, Linear):
                bias = None if part.bias is None else part.bias.detach()
                setattr(module, name, linear(part.weight.detach(), bias))
    model.compute_dtype = torch.bfloat16
    model.set_attention("fused")
    return model


def choose_fastest_format(model: GPT, rows: int) -> WeightFormat:
    """The weight format in which this many rows generate fastest, timed once a machine and shape.

    A smaller format is only chosen if it takes less than MAX_RELATIVE_TIME of float32's time.
    """
    device_name = str(model.embedding.weight.device)
    shape = model.shape.model_dump(exclude={"dropout"}), model.vocab_size
    environment = machine.facts(), str(torch.__version__), device_name, torch.get_num_threads()
    key = fingerprint(environment, shape, rows)
    seconds = machine.recall("replies", key)
    if seconds is None:
        seconds = _time_formats(model, rows, device_name)
        machine.remember("replies", key, seconds)
    default, *others = list_weight_formats(device_name)
    faster = [name for name in others if seconds[name] < MAX_RELATIVE_TIME * seconds[default]]
    return min([default, *faster], key=lambda name: seconds[name])


@torch.inference_mode()
def _time_formats(model: GPT, rows: int, device_name: str) -> dict[str, float]:
    """Seconds of one step of this many rows in each format, the median of the rounds."""
    models = {
        name: convert_weights(deepcopy(model), name) for name in list_weight_formats(device_name)
    }
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for round_number in range(1 + TIMING_ROUNDS):  # the first is a warm-up
        for name, candidate in models.items():
            step_s = _time_step(candidate, rows)
            seconds[name] += [step_s] if round_number else []
    return {name: median(times) for name, times in seconds.items()}


def _time_step(model: GPT, rows: int) -> float:
    batcher = Batcher(model, rows)
    sampling = GenerationSettings(max_new_tokens=model.context_length)
    for row in range(rows):
        batcher.join(GenerationRequest((0,), sampling, make_generator(0, row)))
    batcher.step()
    steps = min(TIMING_TOKENS, model.context_length - 2)
    start = time.perf_counter()
    for _ in range(steps):
        batcher.step()
    return (time.perf_counter() - start) / steps


def _choose_linear(
    weight_format: WeightFormat, device_name: str
) -> Callable[[Tensor, Tensor | None], nn.Module]:
    if weight_format == "int8":
        return QuantizedLinear
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    packs = device_name == "cpu" and has_onednn and device.has_native_bf16(device_name)
    return PackedLinear if packs else CastLinear
