"""The form in which the weights of an opened model lie."""

from collections.abc import Callable

import pytest

from nielsgpt.config.settings import DeviceSettings
from nielsgpt.errors import SettingsError
from nielsgpt.inference.open_model import _form
from nielsgpt.model.gpt import GPT


def test_a_form_that_the_device_lacks_is_an_error_with_those_that_it_has(
    lively: Callable[..., GPT],
) -> None:
    asked, model = DeviceSettings(weights="int8"), lively("gpt")
    assert _form(asked, model, "cpu", 1) == "int8"
    line = "device.weights=int8 is not for mps; it has float32, bfloat16"
    with pytest.raises(SettingsError, match=f"^{line}$"):
        _form(asked, model, "mps", 1)
