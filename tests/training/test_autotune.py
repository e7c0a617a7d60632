"""The engine: as the settings say, as the run began, as remembered, as measured, in this order."""

from typing import Any

import pytest
import torch

from nielsgpt.config.settings import DeviceSettings, ModelSettings, PhaseSettings
from nielsgpt.distributed.partition import largest_divisor
from nielsgpt.errors import SettingsError
from nielsgpt.system import compile_cache, device, machine
from nielsgpt.training import autotune
from nielsgpt.training.autotune import TuningKey, choose_execution, default_execution

pytestmark = pytest.mark.usefixtures("no_memory")


def question(**over: Any) -> TuningKey:
    settings = {"device": "cpu", "compile": "off", "threads": 1, **over}
    shape = ModelSettings(n_layer=1, n_head=2, n_embd=32, context_length=16)
    phase = PhaseSettings(batch_size=8, max_steps=100)
    return TuningKey(DeviceSettings.model_validate(settings), shape, 300, phase)


def test_what_the_settings_say_is_what_is_taken() -> None:
    asked = question(precision="fp32", measure=False)
    assert choose_execution(asked).precision == "fp32"
    assert choose_execution(asked).threads == 1
    assert not choose_execution(asked).compiled
    assert torch.are_deterministic_algorithms_enabled()


def test_the_rule_takes_native_bfloat16_and_the_plain_form_that_trains_faster_with_it() -> None:
    ruled = choose_execution(question(measure=False))
    native = device.has_native_bf16("cpu")
    assert ruled.precision == ("bf16" if native else "fp32")
    assert ruled.attention == ("plain" if native else "fused")
    assert ruled.micro_batch_size == 8


def test_a_resumed_run_computes_as_it_began() -> None:
    began = {
        **default_execution(question(), "cpu").facts(),
        "precision": "fp32",
        "attention": "fused",
    }
    chosen = choose_execution(question(), before={**began, "micro_batch_size": 2})
    assert (chosen.precision, chosen.attention, chosen.micro_batch_size) == ("fp32", "fused", 2)
    insisting = choose_execution(question(precision="bf16"), before=began)
    assert insisting.precision == "bf16"


def test_a_resumed_run_has_as_many_threads_as_it_began_with() -> None:
    began = {**default_execution(question(), "cpu").facts(), "threads": 1}
    torch.set_num_threads(2)
    assert choose_execution(question(threads=0), before=began).threads == 1
    assert torch.get_num_threads() == 1


def test_the_compiler_is_not_tried_where_it_is_known_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = question(compile="auto")
    ruled = default_execution(question(), "cpu")
    machine.remember("engines", asked.key("cpu"), {"engine": ruled.facts(), "row_s": 0.1})

    def tried(where: str) -> bool:
        raise AssertionError("the compiler was tried")

    monkeypatch.setattr(compile_cache, "can_compile", tried)
    assert choose_execution(asked, before={**ruled.facts(), "compiled": True}).compiled
    assert not choose_execution(asked).compiled


def test_what_was_measured_once_is_remembered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "nielsgpt")
    asked = question()
    first = choose_execution(asked)
    assert "timed this machine, once" in caplog.text
    caplog.clear()
    assert choose_execution(asked) == first
    assert "timed" not in caplog.text
    assert first.facts() == machine.recall("engines", asked.key("cpu"))["engine"]


def test_a_way_must_be_a_tenth_faster_than_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    def times(share: float) -> None:
        def taken(run: object, tried: device.ExecutionConfig) -> float:
            return tried.micro_batch_size * (share if tried.attention != rule.attention else 1.0)

        monkeypatch.setattr(autotune, "_seconds", taken)

    asked = question(precision="fp32")
    rule = default_execution(asked, "cpu")
    times(0.95)
    assert autotune._measure(asked, rule)["engine"]["attention"] == rule.attention
    times(0.85)
    found = autotune._measure(asked, rule)
    assert found["engine"]["attention"] != rule.attention
    assert found["slower"][f"{rule.attention} attention"] == pytest.approx(0.85)


def test_a_size_that_does_not_fit_into_memory_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = autotune._row

    def hungry(asked: TuningKey, tried: device.ExecutionConfig) -> Any:
        def out() -> None:
            raise torch.OutOfMemoryError("out of memory")

        return out if tried.micro_batch_size > 4 else plain(asked, tried)

    monkeypatch.setattr(autotune, "_row", hungry)
    assert choose_execution(question()).micro_batch_size == 4


def test_compiling_must_pay_within_the_phase() -> None:
    found = {"row_s": 0.1, "compiled_row_s": 0.05, "compile_s": 30.0}
    short = question()
    long = TuningKey(short.settings, short.shape, 300, PhaseSettings(max_steps=1000, batch_size=8))
    assert not autotune._gains(found, short)
    assert autotune._gains(found, long)
    assert not autotune._gains({**found, "compiled_row_s": 0.11}, long)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match=r"device cuda:7 is not on this machine; it has .*cpu"):
        choose_execution(question(device="cuda:7"))


@pytest.mark.parametrize(
    ("whole", "most", "expected"), [(16, 16, 16), (12, 8, 6), (7, 6, 1), (5, 0, 1)]
)
def test_the_largest_divisor(whole: int, most: int, expected: int) -> None:
    assert largest_divisor(whole, most) == expected
