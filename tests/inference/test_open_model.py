"""The weight format of an opened model."""

from collections.abc import Callable

import pytest

from nielsgpt.config.settings import DeviceSettings
from nielsgpt.errors import SettingsError
from nielsgpt.inference.open_model import choose_format
from nielsgpt.model.gpt import GPT


def test_an_unsupported_weight_format_is_an_error_that_lists_the_supported_ones(
    lively: Callable[..., GPT],
) -> None:
    settings, model = DeviceSettings(weights="int8"), lively("gpt")
    assert choose_format(settings, model, "cpu", 1) == "int8"
    line = "device.weights=int8 is not supported on mps; choose one of float32, bfloat16"
    with pytest.raises(SettingsError, match=f"^{line}$"):
        choose_format(settings, model, "mps", 1)
