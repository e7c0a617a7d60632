import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from nielsgpt.micro import scenarios
from nielsgpt.micro.errors import MicroError
from nielsgpt.micro.scenarios import Data, Model, Scenario, Training

DATA = {"path": "a.txt", "format": "lines"}


def said(tree: Any) -> str:
    with pytest.raises(MicroError) as caught:
        scenarios.parse(tree, "mine.json")
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_shipped_scenarios_are_the_founding_ones() -> None:
    shipped = {name: scenarios.load(name) for name in scenarios.names()}
    assert {
        name: (s.model.n_embd, s.model.n_head, s.model.n_layer, s.model.block_size)
        for name, s in shipped.items()
    } == {"names": (16, 4, 1, 8), "alice": (32, 4, 2, 128), "alice_v2": (32, 4, 2, 128)}
    assert {n: s.training.num_steps for n, s in shipped.items()} == {
        "names": 500,
        "alice": 2000,
        "alice_v2": 5000,
    }
    assert [s.data.trailing_bos for s in shipped.values()] == [True, False, True]
    assert shipped["alice"].data.path == shipped["alice_v2"].data.path


def test_every_field_says_what_it_means() -> None:
    for kind in (Data, Model, Training):
        assert all(field.metadata["meaning"] for field in fields(kind))


def test_what_is_left_out_has_its_default_and_whole_numbers_may_stand_for_any() -> None:
    scenario = scenarios.parse({"name": "x", "data": DATA, "training": {"learning_rate": 1}}, "t")
    assert scenario == Scenario(
        name="x", data=Data(path="a.txt", format="lines"), training=Training(learning_rate=1.0)
    )


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"modle": {}}, "unknown field modle (did you mean model?); choose one of name, "
                        "description, data, model, training"),
        ({"model": {"n_emb": 8}}, "unknown field model.n_emb (did you mean n_embd?); choose one of "
                                  "n_embd, n_head, n_layer, block_size"),
        ({"model": {"n_embd": 6}}, "model.n_embd 6 is not a multiple of model.n_head 4"),
        ({"model": {"n_embd": "16"}}, 'model.n_embd is "16", not a whole number'),
        ({"model": {"n_embd": True}}, "model.n_embd is true, not a whole number"),
        ({"model": {"n_layer": 0}}, "model.n_layer is 0; the minimum is 1"),
        ({"model": 3}, "model is not an object of fields"),
        ({"data": {"path": "a"}}, "data.format is missing: lines: a document is a line; chunked: "
                                  "a window"),
        ({"data": {**DATA, "format": "csv"}}, "data.format is 'csv'; it must be one of "
                                                 "lines, chunked"),
        ({"data": {**DATA, "chunk_overlap": 128}}, "data.chunk_overlap 128 is not below "
                                                   "data.chunk_size 128"),
        ({"training": {"backend": "torch"}}, "training.backend is 'torch'; it must be one of "
                                             "python, numpy, numpy_batched"),
        ({"training": {"learning_rate": float("nan")}}, "training.learning_rate is NaN, not a "
                                                        "number"),
        ({"training": {"beta2": 1.0}}, "training.beta1 and training.beta2 stay below 1"),
        ({"name": "../x"}, "name '../x' cannot name a folder; use a-z, 0-9, _"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_one_line_that_names_it(over: dict[str, Any], expected: str) -> None:
    assert said({"name": "x", "data": DATA, **over}) == f"mine.json: {expected}"


def test_a_scenario_that_is_no_object_is_one_line() -> None:
    assert said([]) == "mine.json: the scenario is not an object of fields"


def test_options_change_the_numbers_and_are_held_to_the_same_rules() -> None:
    names = scenarios.load("names")
    assert scenarios.changed(names, backend=None, seed=None) == names
    assert scenarios.changed(names, backend="python", num_steps=7).training.num_steps == 7
    with pytest.raises(MicroError) as caught:
        scenarios.changed(names, grad_accum=0)
    assert str(caught.value) == "the options: training.grad_accum is 0; the minimum is 1"


def test_a_scenario_of_ones_own_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"name": "mine", "data": DATA}), encoding="utf-8")
    assert scenarios.load("names", path).name == "mine"
    path.write_text('{"name": }', encoding="utf-8")
    with pytest.raises(MicroError) as caught:
        scenarios.load("names", path)
    assert str(caught.value) == f"{path} is not JSON: line 1: Expecting value"


def test_an_unknown_scenario_lists_the_known_ones() -> None:
    with pytest.raises(MicroError) as caught:
        scenarios.load("name")
    assert str(caught.value) == (
        "unknown scenario 'name' (did you mean names?); choose one of alice, alice_v2, names, "
        "and --config FILE takes one of your own"
    )
