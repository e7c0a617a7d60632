"""What holds for the two NumPy backends beyond the equality of their gradients."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from nielsgpt.micro import backends
from nielsgpt.micro.adam import Adam
from nielsgpt.micro.arrays import ArrayGPT
from nielsgpt.micro.batched import BatchedGPT
from nielsgpt.micro.scenarios import Training
from nielsgpt.micro.weights import Shape, Weights, initial

SHAPE = Shape(n_embd=8, n_head=2, n_layer=2, block_size=6, vocab_size=7)
DOCUMENTS = [[6, 0, 1, 2, 6], [6, 5, 5, 5, 5, 5, 1, 0, 6], [6, 3]]
NUMPY = ("numpy", "numpy_batched")


def floats_in(thing: Any, path: str = "") -> Iterator[tuple[str, np.dtype[Any]]]:
    """Every array and NumPy number of floats that is reached from an object, with its path."""
    if isinstance(thing, np.ndarray | np.floating):
        if thing.dtype.kind == "f":
            yield path, thing.dtype
    elif isinstance(thing, dict):
        for name, value in thing.items():
            yield from floats_in(value, f"{path}.{name}")
    elif isinstance(thing, list | tuple):
        for index, value in enumerate(thing):
            yield from floats_in(value, f"{path}[{index}]")
    elif hasattr(thing, "__dict__"):
        yield from floats_in(vars(thing), path)
    elif hasattr(thing, "__slots__"):
        yield from floats_in({name: getattr(thing, name) for name in thing.__slots__}, path)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", NUMPY)
def test_every_buffer_gradient_and_moment_keeps_the_dtype(
    backend: str, dtype: str, lively: Callable[..., Weights]
) -> None:
    model, adam = backends.make(backend, SHAPE, lively(SHAPE), dtype), Adam(3, Training())
    for ids in DOCUMENTS:
        model.forward(ids)
        model.backward(0.5)
        found = dict(floats_in(model, "model"))
        adam.update(model.leaves())
    found |= dict(floats_in(adam, "adam"))
    assert {path for path, kind in found.items() if kind != np.dtype(dtype)} == set()
    parts = {path.rpartition(".")[2] for path in found}
    assert {"data", "grad", "keys", "dkeys", "wte", "moments[0][0]"} <= parts
    assert {"numpy": "mlp_scale", "numpy_batched": "mask"}[backend] in parts


@pytest.mark.parametrize("backend", NUMPY)
def test_float32_differs_from_float64_by_its_rounding_alone(
    backend: str, lively: Callable[..., Weights]
) -> None:
    double, single = (
        backends.make(backend, SHAPE, lively(SHAPE), d) for d in ("float64", "float32")
    )
    for ids in DOCUMENTS:
        assert single.forward(ids) == pytest.approx(double.forward(ids), rel=1e-5)
        double.backward()
        single.backward()
    for name, matrix in double.gradients().items():
        error = np.linalg.norm(np.subtract(matrix, single.gradients()[name]))
        assert 0 < error < 1e-4 * np.linalg.norm(matrix), name


def test_later_tokens_change_nothing_before_them(lively: Callable[..., Weights]) -> None:
    model = BatchedGPT(SHAPE, lively(SHAPE))
    model.forward([6, 0, 1, 2, 3, 6])
    before = model.buffers.layers[-1].x[:3].copy()
    model.forward([6, 0, 1, 5, 5, 6])
    np.testing.assert_array_equal(model.buffers.layers[-1].x[:3], before)


def test_documents_of_every_length_share_one_arena(lively: Callable[..., Weights]) -> None:
    shared = BatchedGPT(SHAPE, lively(SHAPE))
    for length in (9, 2, 6, 3, 9, 4):
        ids = [index % 7 for index in range(length)]
        fresh = BatchedGPT(SHAPE, lively(SHAPE))
        assert shared.forward(ids) == fresh.forward(ids)
        shared.flat.grad.fill(0.0)
        shared.backward()
        fresh.backward()
        np.testing.assert_array_equal(shared.flat.grad, fresh.flat.grad)


def test_no_step_makes_a_buffer_after_the_first_of_its_length(
    lively: Callable[..., Weights],
) -> None:
    model = BatchedGPT(SHAPE, lively(SHAPE))
    model.forward(DOCUMENTS[0])
    model.backward()
    before = {path: id(array) for path, array in vars(model.buffers).items()}
    model.forward(DOCUMENTS[2])
    model.forward(DOCUMENTS[0])
    model.backward()
    assert {path: id(array) for path, array in vars(model.buffers).items()} == before
    for name, array in vars(model.buffers.layers[0]).items():
        assert np.shares_memory(array, model.arena), name


def test_what_a_backend_is_given_stays_as_it_was(lively: Callable[..., Weights]) -> None:
    weights = lively(SHAPE)
    model, adam = ArrayGPT(SHAPE, weights), Adam(1, Training())
    model.forward(DOCUMENTS[0])
    model.backward()
    adam.update(model.leaves())
    assert weights == lively(SHAPE)
    assert model.weights() != weights


@pytest.mark.parametrize("backend", backends.BACKENDS)
def test_a_seed_gives_every_backend_the_same_first_model(backend: str) -> None:
    start = initial(SHAPE, 7)
    assert backends.make(backend, SHAPE, start).weights() == start == initial(SHAPE, 7)
    assert start != initial(SHAPE, 8)


def test_a_fresh_model_has_zeros_where_a_branch_ends_and_small_normals_elsewhere() -> None:
    start = initial(Shape(n_embd=32, n_head=4, n_layer=2, block_size=16, vocab_size=40), 1)
    for name, matrix in start.items():
        if name.endswith(("attn_wo", "mlp_fc2")):
            assert not np.any(matrix), name
        else:
            assert np.std(matrix) == pytest.approx(0.02, rel=0.15), name
    assert len(start) == 3 + 2 * 6
