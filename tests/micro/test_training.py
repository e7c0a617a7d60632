import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nielsgpt.micro import backends, documents, pace
from nielsgpt.micro.adam import Adam
from nielsgpt.micro.backends import BACKENDS
from nielsgpt.micro.errors import MicroError, MicroRunError
from nielsgpt.micro.scalar import ScalarGPT
from nielsgpt.micro.scenarios import Scenario
from nielsgpt.micro.training import Run, Update

REPOSITORY = Path(__file__).resolve().parents[2]
Words = Callable[..., Scenario]


def trained(root: Path, scenario: Scenario) -> tuple[Run, list[Update]]:
    run = Run(root, scenario)
    return run, list(run.train())


@pytest.mark.parametrize("grad_accum", [1, 4])
def test_every_backend_ends_at_the_same_model(words: Words, root: Path, grad_accum: int) -> None:
    runs = {
        backend: trained(root, words(backend=backend, num_steps=40, grad_accum=grad_accum))
        for backend in BACKENDS
    }
    reference, updates = runs["numpy_batched"]
    start = Run(root, words()).saved().weights
    for run, other in runs.values():
        assert [u.loss for u in other] == pytest.approx([u.loss for u in updates], rel=1e-9)
        for name, matrix in reference.saved().weights.items():
            size = np.linalg.norm(matrix)
            error = np.linalg.norm(np.subtract(run.saved().weights[name], matrix))
            assert error <= 1e-9 * size, name
            assert np.linalg.norm(np.subtract(start[name], matrix)) > 0.01 * size, name


@pytest.mark.parametrize(("steps", "grad_accum", "updates"), [(12, 1, 12), (12, 4, 3), (13, 4, 4)])
def test_accumulation_means_fewer_updates_over_the_same_documents(
    words: Words, root: Path, steps: int, grad_accum: int, updates: int
) -> None:
    run, done = trained(root, words(num_steps=steps, grad_accum=grad_accum))
    assert run.adam.step == run.updates == len(done) == updates
    assert [u.documents for u in done] == [min((i + 1) * grad_accum, steps) for i in range(updates)]


def test_an_accumulated_update_moves_along_the_mean_gradient_of_its_documents(
    words: Words, root: Path
) -> None:
    scenario = words(num_steps=5, grad_accum=3)
    run, updates = trained(root, scenario)
    numbers, sequences = scenario.training, documents.load(root, scenario).sequences
    model = backends.make("numpy", run.shape, Run(root, scenario).saved().weights)
    adam = Adam(2, numbers)
    for group, update in zip((sequences[:3], sequences[3:5]), updates, strict=True):
        losses = []
        for ids in group:
            losses.append(model.forward(ids))
            model.backward(1.0 / len(group))
        adam.update(model.leaves())
        assert update.loss == pytest.approx(sum(losses) / len(group))
    for name, matrix in run.saved().weights.items():
        np.testing.assert_allclose(matrix, model.weights()[name], rtol=1e-9, atol=1e-12)


def test_the_rate_falls_over_the_updates_and_not_over_the_documents(
    words: Words, root: Path
) -> None:
    run = Run(root, words(num_steps=12, grad_accum=4, decay="linear", learning_rate=0.3))
    rates = []
    for _ in run.train():
        rates.append(run.adam.rate(run.adam.step - 1))
    assert rates == pytest.approx([0.3, 0.2, 0.1])


def test_training_learns_and_begins_where_all_tokens_are_alike(words: Words, root: Path) -> None:
    run, updates = trained(root, words(num_steps=400))
    assert updates[0].loss == pytest.approx(math.log(run.shape.vocab_size), abs=0.02)
    assert np.mean([u.loss for u in updates[-16:]]) < 0.6 * updates[0].loss


def test_when_the_documents_are_used_up_they_come_again_in_the_same_order(
    words: Words, root: Path
) -> None:
    losses = [u.loss for u in trained(root, words(num_steps=33, learning_rate=0.0))[1]]
    assert losses[16:32] == losses[:16]
    assert losses[32] == losses[0] != losses[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loss_that_is_not_finite_ends_the_run_in_one_line(
    words: Words, root: Path, backend: str
) -> None:
    with pytest.raises(MicroRunError) as caught:
        trained(root, words(backend=backend, learning_rate=1e160, num_steps=9))
    said = str(caught.value)
    assert said.startswith("the loss is ")
    assert said.endswith(" updates; training.learning_rate 1e+160 is too high")
    assert caught.value.exit_code == 1


def test_a_number_too_large_for_python_is_an_infinite_loss(words: Words, root: Path) -> None:
    run = Run(root, words(backend="python"))
    assert isinstance(run.model, ScalarGPT)
    for row, size in zip(run.model.matrices["layer0.mlp_fc1"], (1e200, -1e200), strict=False):
        for value in row:
            value.data = size
    with pytest.raises(MicroRunError) as caught:
        next(run.train())
    assert str(caught.value) == (
        "the loss is inf after 0 updates; training.learning_rate 0.01 is too high"
    )


def test_lines_come_at_the_first_every_hundredth_and_the_last_step(
    words: Words, root: Path
) -> None:
    run = Run(root, words(num_steps=250))
    told = list(pace.lines(run, timing=True, spell="{:.0f} s".format))
    assert [line.split(" | ")[0] for line in told] == [
        f"step {step} / 250" for step in (1, 100, 200, 250)
    ]
    assert [part.split()[0] for part in told[-1].split(" | ")] == [
        "step", "loss", *told[-1].split(" | ")[2].split()[:1], "ETA", "fwd", "bwd", "opt",
    ]  # fmt: skip
    assert told[-1].split(" | ")[3] == "ETA 0 s"


def test_a_line_tells_the_mean_loss_since_the_line_before(words: Words, root: Path) -> None:
    losses = [update.loss for update in trained(root, words(num_steps=150))[1]]
    told = list(pace.lines(Run(root, words(num_steps=150)), timing=False, spell=None))
    groups = (losses[:1], losses[1:100], losses[100:])
    assert [line.split(" | ")[1] for line in told] == [
        f"loss {sum(group) / len(group):.4f}" for group in groups
    ]
    assert all(len(line.split(" | ")) == 3 for line in told)


@pytest.mark.parametrize(
    ("backend", "dtype", "said"),
    [
        ("python", "float32", "dtype is float32, but Python's numbers are float64: leave --dtype "
                              "out, or take --backend numpy"),
        ("jax", "float64", "unknown backend 'jax'; choose one of python, numpy, numpy_batched"),
    ],
)  # fmt: skip
def test_a_backend_that_cannot_be_had_is_one_line(
    backend: str, dtype: str, said: str, words: Words, root: Path
) -> None:
    run = Run(root, words())
    with pytest.raises(MicroError) as caught:
        backends.make(backend, run.shape, run.saved().weights, dtype)
    assert str(caught.value) == said


def test_bare_python_trains_samples_and_says_what_needs_numpy(words: Words, root: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
import random
from pathlib import Path
from nielsgpt.micro import sampling, scenarios, store
from nielsgpt.micro.errors import MicroError
from nielsgpt.micro.training import Run
names = scenarios.load("names")
run = Run(Path(), scenarios.changed(names, backend="python", num_steps=2))
losses = [update.loss for update in run.train()]
store.save(Path("model.json"), run.saved())
text = sampling.chain(run.model, run.corpus.alphabet, "a", 0.5, random.Random(1), 20)
print(len(losses), len(text), sorted({{"numpy", "torch", "pydantic", "click"}} & set(sys.modules)))
try:
    Run(Path(), names)
except MicroError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=root, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "2 20 []",
        "backend numpy_batched needs NumPy: install it with: pip install numpy, or take "
        "--backend python",
    ], done.stderr
    assert (root / "model.json").exists()
