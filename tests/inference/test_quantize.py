from collections.abc import Callable

import pytest
import torch

from nielsgpt.config.settings import GenerationSettings, ModelSettings
from nielsgpt.inference import quantize
from nielsgpt.inference.batcher import Batcher, GenerationRequest
from nielsgpt.inference.generate import generate
from nielsgpt.inference.quantize import (
    CastLinear,
    PackedLinear,
    QuantizedLinear,
    choose_fastest_format,
    convert_weights,
    list_weight_formats,
)
from nielsgpt.inference.sampling import make_generator
from nielsgpt.model.gpt import GPT
from nielsgpt.model.variants import VARIANTS
from nielsgpt.system import machine

MakeModel = Callable[..., GPT]
LINEARS = [CastLinear, PackedLinear, QuantizedLinear]
SMALL = ("bfloat16", "int8")


@pytest.fixture(params=LINEARS, ids=lambda linear: linear.__name__)
def linear(request: pytest.FixtureRequest) -> type:
    if request.param is PackedLinear and not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    chosen: type = request.param
    return chosen


@pytest.mark.parametrize("width", [6, 32, 200])
@pytest.mark.parametrize("rows", [1, 3, 40])
@torch.inference_mode()
def test_a_small_format_computes_nearly_the_same_map(linear: type, rows: int, width: int) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(24, width), torch.randn(24)
    x = torch.randn(2, rows, width)
    exact = x @ weight.T + bias
    y = linear(weight, bias)(x.bfloat16()).float()
    assert y.shape == exact.shape
    error = (y - exact).square().mean() / exact.square().mean()
    assert error < 3e-4  # two parts in a hundred


@pytest.mark.parametrize("linear", [PackedLinear, QuantizedLinear], indirect=True)
@torch.inference_mode()
def test_a_row_does_not_depend_on_how_many_are_computed_with_it(linear: type) -> None:
    torch.manual_seed(0)
    part, x = linear(torch.randn(48, 64), None), torch.randn(16, 1, 64).bfloat16()
    whole = part(x)
    for rows in (1, 2, 5, 16):
        assert torch.equal(part(x[:rows]), whole[:rows])


def test_int8_weights_are_within_half_a_scale() -> None:
    torch.manual_seed(0)
    weight = torch.randn(8, 32)
    part = QuantizedLinear(weight, None)
    widened = part.weight.float() * part.scale.float()[:, None]
    # The scale itself is rounded to 8 bits, so the largest weight may lie a little beyond 127.
    slack = weight.abs().amax(1, keepdim=True) * 2**-8
    assert ((widened - weight).abs() <= part.scale.float()[:, None] / 2 + slack).all()


def test_a_row_of_zeros_stays_zero() -> None:
    part = QuantizedLinear(torch.zeros(4, 8), None)
    assert torch.equal(part(torch.ones(1, 8).bfloat16()), torch.zeros(1, 4).bfloat16())


@pytest.mark.parametrize("weight_format", SMALL)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.inference_mode()
def test_every_variant_gives_nearly_the_same_logits_in_a_small_format(
    variant: str, tied: bool, weight_format: quantize.WeightFormat
) -> None:
    torch.manual_seed(0)
    shape = ModelSettings(
        variant=variant, n_layer=2, n_head=2, n_embd=64, context_length=32, tied=tied
    )
    model = GPT(shape, 97).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2) if weight.dim() == 2 else None
    ids = torch.randint(97, (2, 32))
    exact = model(ids)
    small = convert_weights(model, weight_format)(ids)
    assert small.dtype == torch.float32
    assert (small - exact).square().mean() < 2e-3 * exact.square().mean()


@pytest.mark.parametrize("weight_format", SMALL)
def test_in_a_small_format_replies_do_not_depend_on_the_batch(
    make_model: MakeModel, weight_format: quantize.WeightFormat
) -> None:
    linear = quantize._choose_linear(weight_format, "cpu")
    if not torch.backends.mkldnn.is_available() or linear is CastLinear:
        pytest.skip("products of plain bfloat16 promise nothing")
    model = convert_weights(make_model(), weight_format)
    sampling = GenerationSettings(temperature=1.3, max_new_tokens=30)

    def request(index: int) -> GenerationRequest:
        return GenerationRequest(
            (index, 1, 2 * index)[: 1 + index % 3], sampling, make_generator(0, index)
        )

    batch, sampled = Batcher(model, 8), dict[int, list[int | None]]()
    for index in range(8):
        sampled[batch.join(request(index))] = []
    while batch.free_rows < 8:
        for one in batch.step():
            sampled[one.row].append(one.token)
    solo = [
        list(generate(model, one.prompt_ids, sampling, stop_ids=(), generator=one.generator))
        for one in map(request, range(8))
    ]
    assert list(sampled.values()) == solo


def test_the_fastest_format_is_measured_once_and_remembered(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("NIELSGPT_CACHE", str(tmp_path))
    first = choose_fastest_format(make_model(), 2)
    assert first in list_weight_formats("cpu")
    monkeypatch.setattr(quantize, "_time_formats", None)  # would fail if it were called
    assert choose_fastest_format(make_model(seed=9), 2) == first


def test_a_smaller_format_must_gain_a_tenth(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(**seconds: float) -> str:
        monkeypatch.setattr(machine, "recall", lambda *_: seconds)
        return choose_fastest_format(make_model(), 1)

    assert chosen(float32=1.0, bfloat16=0.95, int8=0.91) == "float32"
    assert chosen(float32=1.0, bfloat16=0.89, int8=0.91) == "bfloat16"
    assert chosen(float32=1.0, bfloat16=0.89, int8=0.5) == "int8"
