import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nielsgpt.micro import backends, store
from nielsgpt.micro.backends import BACKENDS
from nielsgpt.micro.documents import Alphabet
from nielsgpt.micro.errors import MicroError, MicroRunError
from nielsgpt.micro.store import Saved
from nielsgpt.micro.weights import Shape, Weights

SHAPE = Shape(n_embd=8, n_head=2, n_layer=2, block_size=6, vocab_size=4)
ALPHABET = Alphabet(("a", "é", "\U0001f511"))
MAKES_IT = "make it with: nielsgpt micro train -s names"


@pytest.mark.parametrize("reader", BACKENDS)
@pytest.mark.parametrize("writer", BACKENDS)
def test_what_a_backend_writes_every_backend_reads_to_the_last_bit(
    writer: str, reader: str, tmp_path: Path, lively: Callable[..., Weights]
) -> None:
    path = tmp_path / "models" / "model.json"
    written = backends.make(writer, SHAPE, lively(SHAPE))
    store.save(path, Saved(ALPHABET, SHAPE, written.weights()))
    saved = store.load(path, MAKES_IT)
    assert (saved.alphabet, saved.shape) == (ALPHABET, SHAPE)
    read = backends.make(reader, saved.shape, saved.weights)
    assert read.weights() == lively(SHAPE)
    assert read.forward([3, 0, 1, 2, 3]) == pytest.approx(written.forward([3, 0, 1, 2, 3]))


def test_the_file_has_the_founding_schema_whatever_backend_wrote_it(
    tmp_path: Path, lively: Callable[..., Weights]
) -> None:
    texts = set()
    for backend in BACKENDS:
        model = backends.make(backend, SHAPE, lively(SHAPE))
        store.save(tmp_path / "model.json", Saved(ALPHABET, SHAPE, model.weights()))
        texts.add((tmp_path / "model.json").read_text(encoding="utf-8"))
    [text] = texts
    tree = json.loads(text)
    assert list(tree) == ["uchars", *dataclasses.asdict(SHAPE), "state_dict"]
    assert tree["uchars"] == list(ALPHABET.characters)
    rows = {name: (len(matrix), len(matrix[0])) for name, matrix in tree["state_dict"].items()}
    assert rows["layer1.mlp_fc1"] == (32, 8)
    assert rows["wpe"] == (6, 8)


def test_float32_weights_come_back_as_they_were(
    tmp_path: Path, lively: Callable[..., Weights]
) -> None:
    model = backends.make("numpy", SHAPE, lively(SHAPE), "float32")
    store.save(tmp_path / "model.json", Saved(ALPHABET, SHAPE, model.weights()))
    weights = store.load(tmp_path / "model.json", MAKES_IT).weights
    assert backends.make("numpy", SHAPE, weights, "float32").weights() == model.weights()


def test_a_model_that_is_not_finite_leaves_the_old_file_alone(
    tmp_path: Path, lively: Callable[..., Weights]
) -> None:
    path, weights = tmp_path / "model.json", lively(SHAPE)
    path.write_text("old", encoding="utf-8")
    weights["wte"][1][2] = float("nan")
    with pytest.raises(MicroRunError) as caught:
        store.save(path, Saved(ALPHABET, SHAPE, weights))
    assert str(caught.value) == (
        f"the weights are not finite, so {path} stays as it was; lower training.learning_rate"
    )
    assert caught.value.exit_code == 1
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def rename(tree: dict[str, Any], old: str, new: str) -> None:
    tree["state_dict"][new] = tree["state_dict"].pop(old)


SPOILERS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no size": (lambda tree: tree.pop("n_embd"), "there is no 'n_embd'"),
    "no matrix": (lambda tree: rename(tree, "wpe", "wps"), "there is no 'wpe'"),
    "too few matrices": (
        lambda tree: tree["state_dict"].pop("wte"),
        "14 matrices are not those of 2 layers",
    ),
    "a short row": (lambda tree: tree["state_dict"]["wte"][1].pop(), "wte is not 4 by 8"),
    "infinity": (
        lambda tree: tree["state_dict"]["wte"][1].__setitem__(0, float("inf")),
        "wte is not finite",
    ),
    "a word": (
        lambda tree: tree["state_dict"]["wte"][1].__setitem__(0, "x"),
        "could not convert string to float: 'x'",
    ),
    "a long character": (
        lambda tree: tree["uchars"].__setitem__(0, "ab"),
        "uchars are not 3 characters",
    ),
    "another vocabulary": (lambda tree: tree["uchars"].pop(), "uchars are not 3 characters"),
    "no heads": (
        lambda tree: tree.update(n_head=0),
        "there is no model of Shape(n_embd=8, n_head=0, n_layer=2, block_size=6, vocab_size=4)",
    ),
}


@pytest.mark.parametrize("case", SPOILERS)
def test_a_damaged_model_is_one_line_with_the_command_that_makes_it_again(
    case: str, tmp_path: Path, lively: Callable[..., Weights]
) -> None:
    path = tmp_path / "model.json"
    store.save(path, Saved(ALPHABET, SHAPE, lively(SHAPE)))
    tree = json.loads(path.read_text(encoding="utf-8"))
    spoiler, said = SPOILERS[case]
    spoiler(tree)
    path.write_text(json.dumps(tree), encoding="utf-8")
    with pytest.raises(MicroError) as caught:
        store.load(path, MAKES_IT)
    assert str(caught.value) == f"{path} is not a model of nielsgpt micro ({said}); {MAKES_IT}"


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", '{"n_embd": null}'])
def test_a_file_of_something_else_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MicroError) as caught:
        store.load(path, MAKES_IT)
    assert str(caught.value).startswith(f"{path} is not a model of nielsgpt micro (")
    assert str(caught.value).endswith(f"); {MAKES_IT}")


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    path = store.model_path(tmp_path, "names")
    assert path == tmp_path / "models" / "micro" / "names" / "model.json"
    with pytest.raises(MicroError) as caught:
        store.load(path, MAKES_IT)
    assert str(caught.value) == f"{path} is not there; {MAKES_IT}"


def test_a_folder_that_may_not_be_made_is_one_line(
    tmp_path: Path, lively: Callable[..., Weights]
) -> None:
    (tmp_path / "models").write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(MicroError) as caught:
        store.save(store.model_path(tmp_path, "names"), Saved(ALPHABET, SHAPE, lively(SHAPE)))
    assert "cannot be written (Not a directory); free some space" in str(caught.value)
