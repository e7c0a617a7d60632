"""The survey: the speed of products, and which devices are looked at."""

import pytest
import torch

from nielsgpt.doctor import survey
from nielsgpt.errors import SettingsError
from nielsgpt.system import matrix_peak


def test_the_peak_of_products_is_a_plausible_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_peak, "SIDES", {"cpu": 256})
    before = torch.get_rng_state()
    assert 1e7 < matrix_peak.matrix_peak("cpu", torch.float32) < 1e14
    assert torch.equal(torch.get_rng_state(), before)


def test_products_that_are_slow_when_small_are_not_made_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matrix_peak, "SIDES", {"cpu": 10**6})  # 4 TB: would fail
    monkeypatch.setattr(matrix_peak, "SMALL_SIDE", 64)
    monkeypatch.setattr(matrix_peak, "SLOW_S", 0.0)
    assert matrix_peak.matrix_peak("cpu", torch.float32) > 0


def test_auto_looks_at_every_device_and_at_the_run_s_last() -> None:
    found = survey.devices("auto")
    assert "cpu" in found
    assert len(set(found)) == len(found)
    assert found[-1] == next(
        name
        for name, here in (
            ("cuda", torch.cuda.is_available()),
            ("mps", torch.backends.mps.is_available()),
            ("cpu", True),
        )
        if here
    )
    assert survey.devices("cpu") == ["cpu"]


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(SettingsError, match="device cuda:99 is not on this machine; it has"):
        survey.devices("cuda:99")
