"""The survey: the peak speed of matrix products, and which devices are checked."""

import pytest
import torch

from nielsgpt.doctor import survey
from nielsgpt.errors import SettingsError
from nielsgpt.system import device


def test_the_peak_of_products_is_a_plausible_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "SIDES", {"cpu": 256})
    before = torch.get_rng_state()
    assert 1e7 < device.matrix_peak("cpu", torch.float32) < 1e14
    assert torch.equal(torch.get_rng_state(), before)


def test_products_that_are_slow_when_small_are_not_enlarged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device, "SIDES", {"cpu": 10**6})  # 4 TB: would fail
    monkeypatch.setattr(device, "SMALL_SIDE", 64)
    monkeypatch.setattr(device, "SLOW_S", 0.0)
    assert device.matrix_peak("cpu", torch.float32) > 0


def test_auto_lists_every_device_and_the_one_a_run_uses_last() -> None:
    devices = survey.list_devices("auto")
    assert "cpu" in devices
    assert len(set(devices)) == len(devices)
    assert devices[-1] == next(
        name
        for name, is_present in (
            ("cuda", torch.cuda.is_available()),
            ("mps", torch.backends.mps.is_available()),
            ("cpu", True),
        )
        if is_present
    )
    assert survey.list_devices("cpu") == ["cpu"]


def test_a_missing_device_is_refused() -> None:
    with pytest.raises(SettingsError, match="device cuda:99 is not on this machine; it has"):
        survey.list_devices("cuda:99")
