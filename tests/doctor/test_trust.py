"""Trust: a wrong kernel is refused by name, and a passed check is remembered."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nielsgpt.doctor.trust import require_trusted
from nielsgpt.errors import EngineError
from nielsgpt.model import gpt
from nielsgpt.system.device import ExecutionConfig

FP32 = ExecutionConfig("cpu", "fp32", "plain", False, 1)
BF16 = replace(FP32, precision="bf16")
FUSED = replace(FP32, attention="fused")
NO_ALTERNATIVE = "no alternative passed either: reinstall torch, or test this machine's memory"
Corrupt = Callable[[Tensor], Tensor]
pytestmark = pytest.mark.usefixtures("no_memory")


class CorruptGradient(torch.autograd.Function):
    """Identity in the forward pass; changes the gradient in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, corrupt: Corrupt) -> Tensor:
        ctx.corrupt = corrupt
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.corrupt(gradient.clone()), None


@pytest.fixture
def corrupt_out(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make torch's linear wrong in the gradient of the attention's output projection, (64, 64)."""
    sound = F.linear

    def corrupt(how: Corrupt, *dtypes: torch.dtype) -> None:
        def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
            if weight.shape == (64, 64) and weight.dtype in dtypes:
                weight = CorruptGradient.apply(weight, how)
            return sound(x, weight, bias)

        monkeypatch.setattr(F, "linear", linear)

    return corrupt


def zero(gradient: Tensor) -> Tensor:
    return torch.zeros_like(gradient)


def one_nan(gradient: Tensor) -> Tensor:
    gradient[3, 5] = torch.nan
    return gradient


def ten_percent_more(gradient: Tensor) -> Tensor:
    return gradient * 1.1


def test_a_gradient_of_zero_is_refused_in_one_line_by_name(
    corrupt_out: Callable[..., None],
) -> None:
    corrupt_out(zero, torch.float32, torch.bfloat16, torch.float16)
    with pytest.raises(EngineError) as caught:
        require_trusted(FP32)
    assert str(caught.value) == (
        "cpu fp32 plain gives wrong results on this machine: the gradient of "
        "blocks.0.attention.out.weight (gpt_qk) is off by 100 %, where rounding explains "
        f"0.0015 %; {NO_ALTERNATIVE}"
    )
    assert caught.value.exit_code == 2


def test_a_single_nan_is_refused(corrupt_out: Callable[..., None]) -> None:
    corrupt_out(one_nan, torch.float32)
    with pytest.raises(EngineError, match=r"blocks\.\d\.attention\.out\.weight \(\w+\) is not fin"):
        require_trusted(FP32)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_ten_percent_too_much_is_detected_beyond_rounding(
    precision: Any, corrupt_out: Callable[..., None]
) -> None:
    execution = replace(FUSED, precision=precision)
    corrupt_out(ten_percent_more, execution.dtype)
    with pytest.raises(
        EngineError,
        match=rf"^cpu {precision} fused .* gradient of blocks\.\d\.attention\.out\.weight "
        r".* is off by [\d.]+ %.*; add --set device\.precision=fp32, which passed$",
    ):
        require_trusted(execution)


def test_a_causal_mask_that_is_off_by_one_leads_to_plain_attention(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = F.scaled_dot_product_attention

    def one_too_far(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        seen = torch.ones(q.size(-2), k.size(-2), dtype=torch.bool).tril(1)
        return sound(q, k, v, attn_mask=seen)

    monkeypatch.setattr(F, "scaled_dot_product_attention", one_too_far)
    with pytest.raises(EngineError, match=r"; add --set model\.attention=plain, which passed$"):
        require_trusted(replace(FUSED, precision="bf16"))


def test_a_rotation_at_the_wrong_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sound, calls = gpt.rotate, iter(range(10**6))

    def queries_one_late(x: Tensor, table: Tensor) -> Tensor:
        is_query = next(calls) % 2 == 0
        wrong = is_query and x.dtype == torch.bfloat16
        return sound(x, table.roll(1, 1) if wrong else table)

    monkeypatch.setattr(gpt, "rotate", queries_one_late)
    with pytest.raises(EngineError, match=r"_norm\.weight \(gpt_qk\) is off"):
        require_trusted(BF16)


@pytest.mark.parametrize("kernel", ["_fused_adamw_", "baddbmm"])
def test_an_optimizer_that_is_wrong_by_a_hundredth_is_refused(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, factor = getattr(torch, kernel), {"_fused_adamw_": "lr", "baddbmm": "alpha"}[kernel]

    def wrong(first: Any, *rest: Any, **options: Any) -> Any:
        dtype = (first[0] if isinstance(first, list) else first).dtype
        if dtype != torch.float64 and factor in options:
            options[factor] = options[factor] * 1.01
        return sound(first, *rest, **options)

    monkeypatch.setattr(torch, kernel, wrong)
    optimizer = "adamw" if "adamw" in kernel else "muon"
    with pytest.raises(EngineError, match=f"the {optimizer} update of .* is off by"):
        require_trusted(FP32)


def test_a_loss_that_is_wrong_beside_sound_gradients_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = torch.Tensor.log
    monkeypatch.setattr(
        torch.Tensor, "log", lambda x: sound(x) * (1.0 if x.dtype == torch.float64 else 1.001)
    )
    with pytest.raises(EngineError, match=r"the loss of gpt(_qk)? is off by"):
        require_trusted(FP32)


def test_a_wrong_compiler_is_told_apart_from_a_wrong_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compile_wrong(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        return lambda ids: function(ids) * 1.01 if ids.dtype == torch.int64 else function(ids)

    monkeypatch.setattr(torch, "compile", compile_wrong)
    with pytest.raises(EngineError, match=r"^cpu fp32 plain compiled .*; add --set device.compile"):
        require_trusted(replace(FP32, compiled=True))
    require_trusted(FP32)


def test_a_kernel_that_the_device_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: Any, **options: Any) -> Tensor:
        raise NotImplementedError("no such kernel on this device\nand a long trace")

    monkeypatch.setattr(F, "scaled_dot_product_attention", missing)
    with pytest.raises(EngineError) as caught:
        require_trusted(FUSED)
    assert str(caught.value) == (
        "cpu fp32 fused gives wrong results on this machine: torch fails: no such kernel on this "
        "device; add --set model.attention=plain, which passed"
    )


def test_a_pass_is_logged_once_and_remembered(
    corrupt_out: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nielsgpt")
    require_trusted(FP32)
    (message,) = caplog.messages
    assert re.fullmatch(
        r"doctor: cpu fp32 plain agrees with float64 on the CPU: worst gradient [\d.e-]+ %, "
        r"bound 0\.0015 %",
        message,
    )
    corrupt_out(zero, torch.float32, torch.bfloat16)
    require_trusted(FP32)
    require_trusted(replace(FP32, micro_batch_size=4))
    assert caplog.messages == [message]


@pytest.mark.parametrize(
    "changes",
    [{"torch_version": "9.0"}, {"threads": 2}],
)
def test_another_torch_or_another_config_is_checked_again(
    changes: dict[str, Any], corrupt_out: Callable[..., None]
) -> None:
    require_trusted(FP32)
    corrupt_out(zero, torch.float32, torch.bfloat16)
    with pytest.raises(EngineError):
        require_trusted(replace(FP32, **changes))


def test_a_refusal_is_not_remembered(corrupt_out: Callable[..., None]) -> None:
    corrupt_out(zero, torch.float32)
    for _ in range(2):
        with pytest.raises(EngineError):
            require_trusted(FP32)


def test_a_check_leaves_the_random_state_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    require_trusted(BF16)
    assert torch.equal(torch.get_rng_state(), before)
