"""The form of the weights of a model that only talks: float32 as trained, bfloat16, or int8.

Replies are bound by reading the weights once for every token, so smaller ones are faster. In the
two small forms everything between the embedding and the logits is bfloat16, and on CPUs a row's
numbers do not depend on how many other rows are computed with it.

int8: each row of a matrix is int8 times one scale; half a scale is the largest error of a weight.
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
from nielsgpt.inference.sampling import generator_for
from nielsgpt.model.gpt import GPT
from nielsgpt.model.layers import Linear
from nielsgpt.system import device, machine
from nielsgpt.system.workspace import fingerprint

Form = Literal["float32", "bfloat16", "int8"]
LONG = 16  # ids of one row, from which int8 weights are widened first: products then gain more
BLOCK = 16  # numbers that the int8 kernel reads at once; it does not look where a row ends
ROUNDS, TOKENS = 3, 24  # of the race that decides
MARGIN = 0.9  # of float32's time: what a smaller form must stay under


class CastLinear(nn.Module):
    """A linear map with weights in bfloat16."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = weight.bfloat16()
        self.bias = None if bias is None else bias.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return F.linear(x, self.weight, self.bias)


class PackedLinear(nn.Module):
    """The same in the order in which oneDNN's kernels read weights, so no product reorders them."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.bfloat16(), LONG)
        self.bias = None if bias is None else bias.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, "none", [], ""
        )
        return product


class QuantizedLinear(nn.Module):
    """A linear map with weights in int8, and one scale for each output."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        # The scale is rounded before the weights are, so its own rounding costs nothing.
        self.scale = (weight.abs().amax(1) / 127).clamp(min=1e-12).bfloat16()  # (out,)
        whole = (weight / self.scale.float()[:, None]).round()
        self.missing = -weight.size(1) % BLOCK
        self.weight = F.pad(whole.clamp(-127, 127).to(torch.int8), (0, self.missing))
        self.bias = None if bias is None else bias.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        """(..., T, in) -> (..., T, out)."""
        if self.missing:
            x = F.pad(x, (0, self.missing))
        if x.size(-2) > LONG:
            return F.linear(x, self.weight.bfloat16() * self.scale[:, None], self.bias)
        rows = x.reshape(-1, x.size(-1))
        product = torch._weight_int8pack_mm(rows, self.weight, self.scale)
        if self.bias is not None:
            product = product + self.bias
        return product.view(*x.shape[:-1], -1)


def weight_forms(where: str) -> tuple[Form, ...]:
    """The forms that this device computes with."""
    if where == "cpu":
        return ("float32", "bfloat16", "int8")
    return ("float32", "bfloat16") if device.computes_bf16(where) else ("float32",)


def convert_weights(model: GPT, form: Form) -> GPT:
    """The model with its weights in this form, in place: it can no longer be trained."""
    if form == "float32":
        return model
    kind = _kind(form, str(model.embedding.weight.device))
    model.unembedding = kind(model.head_weight.detach(), None)  # type: ignore[assignment]
    model.embedding.to(torch.bfloat16)
    for module in list(model.blocks.modules()):
        for name, part in module.named_children():
            if isinstance(part, Linear):
                bias = None if part.bias is None else part.bias.detach()
                setattr(module, name, kind(part.weight.detach(), bias))
    model.compute_dtype = torch.bfloat16
    model.set_attention("fused")
    return model


def fastest_form(model: GPT, rows: int) -> Form:
    """The form in which so many rows draw fastest here: timed in turns, once a machine and shape.

    A smaller form must be a tenth faster than float32 to be taken.
    """
    where = str(model.embedding.weight.device)
    shape = model.shape.model_dump(exclude={"dropout"}), model.vocab_size
    known = machine.facts(), str(torch.__version__), where, torch.get_num_threads()
    key = fingerprint(known, shape, rows)
    found = machine.recall("replies", key)
    if found is None:
        found = _measure_forms(model, rows, where)
        machine.remember("replies", key, found)
    first, *others = weight_forms(where)
    close = [form for form in others if found[form] < MARGIN * found[first]]
    return min([first, *close], key=lambda form: found[form])


@torch.inference_mode()
def _measure_forms(model: GPT, rows: int, where: str) -> dict[str, float]:
    """Seconds of one step of so many rows in each form, the median of the rounds."""
    models = {form: convert_weights(deepcopy(model), form) for form in weight_forms(where)}
    taken: dict[str, list[float]] = {form: [] for form in models}
    for turn in range(1 + ROUNDS):  # the first one warms up
        for form, candidate in models.items():
            seconds = _step_s(candidate, rows)
            taken[form] += [seconds] if turn else []
    return {form: median(seconds) for form, seconds in taken.items()}


def _step_s(model: GPT, rows: int) -> float:
    batch = Batcher(model, rows)
    sampling = GenerationSettings(max_new_tokens=model.context_length)
    for row in range(rows):
        batch.join(GenerationRequest((0,), sampling, generator_for(0, row)))
    batch.step()
    steps = min(TOKENS, model.context_length - 2)
    began = time.perf_counter()
    for _ in range(steps):
        batch.step()
    return (time.perf_counter() - began) / steps


def _kind(form: Form, where: str) -> Callable[[Tensor, Tensor | None], nn.Module]:
    if form == "int8":
        return QuantizedLinear
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    packs = where == "cpu" and has_onednn and device.has_native_bf16(where)
    return PackedLinear if packs else CastLinear
