"""The backends by name: three ways to compute the same model, made when they are asked for."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from nielsgpt.micro.adam import Leaf
from nielsgpt.micro.errors import MicroError
from nielsgpt.micro.weights import Shape, Weights

log = logging.getLogger("nielsgpt")
# Compiling takes more than a second, which short documents earn back after thousands of them.
COMPILED_FROM_BLOCK_SIZE = 64


class GPT(Protocol):
    """The interface of every backend."""

    shape: Shape

    def forward(self, ids: Sequence[int]) -> float:
        """The mean loss of a document, in nats a token."""

    def backward(self, share: float = 1.0) -> None:
        """Add share times the gradient of that loss to the gradients of the weights."""

    def leaves(self) -> Sequence[Leaf]:
        """The parameters that the optimizer updates."""

    def weights(self) -> Weights:
        """The weights as plain numbers."""

    def gradients(self) -> Weights:
        """The gradients as plain numbers."""

    def restart(self) -> None:
        """Forget what was read."""

    def read(self, token: int) -> list[float]:
        """Read one more token; the logits of the one after it."""


def make(backend: str, shape: Shape, weights: Weights, dtype: str = "float64") -> GPT:
    """The model of these weights. Raises MicroError for a backend that cannot be had."""
    if backend not in BACKENDS:
        raise MicroError(f"unknown backend {backend!r}; choose one of {', '.join(BACKENDS)}")
    try:
        return BACKENDS[backend](shape, weights, dtype)
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        raise MicroError(
            f"backend {backend} needs NumPy: install it with: pip install numpy, or take "
            "--backend python"
        ) from None


def _scalar(shape: Shape, weights: Weights, dtype: str) -> GPT:
    from nielsgpt.micro.scalar import ScalarGPT

    if dtype != "float64":
        raise MicroError(
            f"dtype is {dtype}, but Python's numbers are float64: leave --dtype out, or take "
            "--backend numpy"
        )
    return ScalarGPT(shape, weights)


def _arrays(shape: Shape, weights: Weights, dtype: str) -> GPT:
    from nielsgpt.micro import kernel
    from nielsgpt.micro.arrays import ArrayGPT

    if shape.block_size < COMPILED_FROM_BLOCK_SIZE or not kernel.installed():
        return ArrayGPT(shape, weights, dtype)
    log.info("numba compiles the loops of backend numpy")
    return ArrayGPT(shape, weights, dtype, kernel.compiled())


def _batched(shape: Shape, weights: Weights, dtype: str) -> GPT:
    from nielsgpt.micro.batched import BatchedGPT

    return BatchedGPT(shape, weights, dtype)


BACKENDS: dict[str, Callable[[Shape, Weights, str], GPT]] = {
    "python": _scalar,
    "numpy": _arrays,
    "numpy_batched": _batched,
}
