import dataclasses
import logging
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nielsgpt.micro import backends, kernel
from nielsgpt.micro.arrays import ArrayGPT
from nielsgpt.micro.errors import MicroRunError
from nielsgpt.micro.operations import Kernel
from nielsgpt.micro.weights import Shape, Weights

SHAPE = Shape(n_embd=8, n_head=2, n_layer=2, block_size=6, vocab_size=7)
LOOPS = Kernel(kernel.linear_backward, kernel.attend, kernel.attend_backward)
HAS_NUMBA = pytest.mark.skipif(not kernel.installed(), reason="numba is not installed")


def compiled_or_not(name: str) -> Kernel:
    return LOOPS if name == "loops" else kernel.compiled()


@pytest.mark.parametrize("form", ["loops", pytest.param("compiled", marks=HAS_NUMBA)])
def test_the_kernel_computes_what_the_operations_do(
    form: str, lively: Callable[..., Weights]
) -> None:
    plain = ArrayGPT(SHAPE, lively(SHAPE))
    fast = ArrayGPT(SHAPE, lively(SHAPE), kernel=compiled_or_not(form))
    for ids in ([6, 0, 1, 2, 6], [6, 5, 5, 5, 5, 5, 1, 0, 6]):
        assert fast.forward(ids) == pytest.approx(plain.forward(ids), rel=1e-12)
        plain.backward()
        fast.backward()
    np.testing.assert_allclose(fast.flat.grad, plain.flat.grad, rtol=1e-9, atol=1e-14)


def test_the_loops_keep_float32(lively: Callable[..., Weights]) -> None:
    model = ArrayGPT(SHAPE, lively(SHAPE), "float32", LOOPS)
    model.forward([6, 0, 1, 2, 6])
    model.backward()
    layer = model.positions[-1].layers[-1]
    assert {layer.gathered.dtype, layer.weights.dtype, model.dkeys.dtype} == {np.dtype("float32")}


@HAS_NUMBA
def test_verifying_names_every_compiled_function() -> None:
    said = "numba JIT active (linear_backward, attend, attend_backward compiled)"
    assert kernel.verified() == said
    assert all(function.signatures for function in kernel.compiled())  # type: ignore[attr-defined]


@HAS_NUMBA
def test_a_numba_that_computes_something_else_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubling(loop: Callable[..., Any]) -> Callable[..., Any]:
        return (lambda *given: 2 * loop(*given)) if loop is kernel.linear_backward else loop

    monkeypatch.setattr("numba.njit", doubling)
    monkeypatch.setattr(kernel, "compiled", kernel.compiled.__wrapped__)  # the rest keep theirs
    line = "numba's gradients are not NumPy's; leave it out: pip uninstall numba"
    with pytest.raises(MicroRunError, match=f"^{re.escape(line)}$") as caught:
        kernel.verified()
    assert caught.value.exit_code == 1


@HAS_NUMBA
def test_long_documents_are_compiled_for_and_a_line_says_so(
    caplog: pytest.LogCaptureFixture, lively: Callable[..., Weights]
) -> None:
    long = dataclasses.replace(SHAPE, block_size=64)
    with caplog.at_level(logging.INFO, logger="nielsgpt"):
        short_model = backends.make("numpy", SHAPE, lively(SHAPE))
        assert caplog.messages == []
        long_model = backends.make("numpy", long, lively(long))
    assert caplog.messages == ["numba compiles the loops of backend numpy"]
    assert isinstance(short_model, ArrayGPT)
    assert isinstance(long_model, ArrayGPT)
    assert (short_model.kernel, long_model.kernel) == (Kernel(), kernel.compiled())
