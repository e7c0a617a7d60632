"""The forecast counts what autograd really keeps, and lowers the micro-batch before it is late."""

import sys
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nielsgpt.config.settings import ModelSettings, PhaseSettings
from nielsgpt.errors import SettingsError
from nielsgpt.system.device import ExecutionConfig
from nielsgpt.training import memory_estimate
from tests.proofs.test_training import Tiny, one_conversation, trainer

SHAPE = ModelSettings(n_layer=3, n_head=2, n_embd=32, context_length=64)
ENGINE = ExecutionConfig("cpu", "fp32", "plain", False, 1, 4)
PHASE = PhaseSettings(batch_size=8, optimizer="adamw")


def parts(shape: ModelSettings = SHAPE, size: int = 4, **over: Any) -> dict[str, int]:
    phase = PHASE.model_copy(update=over)
    return memory_estimate.estimate(shape, 300, phase, ENGINE, size).parts


class Meter(TorchDispatchMode):
    """The most bytes of tensors that lived at once while it was on."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.most, self.known = 0, 0, set[int]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, torch.Tensor):
                self._meet(tensor.untyped_storage())
        return made

    def _meet(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self.known:
            self.known.add(key)
            self.live += size
            self.most = max(self.most, self.live)
            weakref.finalize(storage, self._leave, key, size)

    def _leave(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("attention", ["plain", "fused"])
@pytest.mark.parametrize("variant", ["gpt", "gpt_qk"])
def test_what_is_forecast_without_numbers_is_what_autograd_keeps(
    variant: str, attention: Any, dropout: float
) -> None:
    shape = SHAPE.model_copy(update={"variant": variant, "dropout": dropout})
    model = memory_estimate.GPT(shape, 2)
    model.set_attention(attention)
    real = memory_estimate.saved_tensors_of(model, torch.zeros(5, 64, dtype=torch.int64))
    forecast = memory_estimate._count_saved(shape, replace(ENGINE, attention=attention), 5)
    assert forecast == pytest.approx(real, rel=0.02)


def test_parameters_moments_and_the_mean_take_what_their_numbers_take() -> None:
    model = memory_estimate.GPT(SHAPE, 300)
    exact = memory_estimate.SLACK * 4 * sum(p.numel() for p in model.parameters())
    found = parts(ema_decay=0.9)
    assert found["weights"] == found["average"] == int(exact)
    assert found["moments"] == int(2 * exact)


def test_recomputed_activations_and_smaller_micro_batches_take_less() -> None:
    whole = parts()["activations"]
    assert parts(activation_checkpointing=True)["activations"] < whole
    assert parts(size=2)["activations"] < 0.7 * whole


def test_too_large_a_micro_batch_is_lowered_in_words_and_one_row_too_many_is_refused(
    tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = trainer(tiny(), one_conversation(tmp_path), batch_size=8, micro_batch_size=8)
    needed = memory_estimate.of_trainer(made).bytes
    memory_estimate.make_fit(made, needed)
    assert made.micro_batch_size == 8
    memory_estimate.make_fit(made, needed - 1)
    assert made.micro_batch_size == 4
    assert "micro-batches of 4 instead of 8" in caplog.text
    with pytest.raises(SettingsError, match=r"even with one row at once, .* lower model"):
        memory_estimate.make_fit(made, 2**20)


def test_the_forecast_draws_no_random_number() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    shape = SHAPE.model_copy(update={"dropout": 0.5, "n_embd": 48})
    memory_estimate.estimate(shape, 300, PHASE, replace(ENGINE, threads=2), 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_evaluation_takes_less_memory_than_a_step(tiny: Tiny, tmp_path: Path) -> None:
    made = trainer(tiny(), one_conversation(tmp_path), batch_size=4, micro_batch_size=4)
    made.train_step()
    meters = [Meter(), Meter()]
    with meters[0]:
        made.train_step()
    with meters[1]:
        made.evaluate()
    assert 0 < meters[1].most < 0.7 * meters[0].most


def test_replies_that_are_few_of_the_tokens_take_less_for_the_loss(
    tiny: Tiny, tmp_path: Path
) -> None:
    made = trainer(tiny(), one_conversation(tmp_path), batch_size=4, micro_batch_size=4)
    share = made.batches.supervised_share
    batch = made.batches.batch(0)
    assert share == pytest.approx((batch.targets >= 0).mean(), abs=0.05)
    estimate = memory_estimate.estimate
    model = made.model.shape, made.model.vocab_size, made.phase, made.execution, 4
    assert memory_estimate.of_trainer(made) == estimate(*model, share)
    assert estimate(*model, 0.1).parts["loss"] < 0.7 * estimate(*model).parts["loss"]


def test_a_peak_begins_afresh() -> None:
    block = bytearray(200 * 2**20)
    high = memory_estimate.peak_bytes("cpu")
    del block
    memory_estimate.reset_peak("cpu")
    if sys.platform == "linux":
        assert memory_estimate.peak_bytes("cpu") < high - 150 * 2**20
