"""Grids: the shipped ones, those from a file, and how a bad file is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from nielsgpt.errors import SettingsError
from nielsgpt.experiments import grid
from nielsgpt.experiments.grid import Configuration

GOOD = {"context_length": 64, "n_layer": 2, "n_head": 2, "n_embd": 32}


def write_grid(folder: Path, value: Any) -> Path:
    path = folder / "grid.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


@pytest.mark.parametrize("small", [False, True])
def test_the_shipped_grids_are_twelve_different_models(small: bool) -> None:
    configurations = grid.build_preset(small)
    assert len(set(configurations)) == 12
    assert all(
        configuration.shape.n_embd % configuration.n_head == 0 for configuration in configurations
    )


def test_the_preset_has_three_shapes_at_two_context_lengths() -> None:
    configurations = {
        (c.context_length, c.n_embd, c.n_layer, c.n_head) for c in grid.build_preset(False)
    }
    shapes = {(384, 8, 6), (512, 8, 8), (512, 12, 8)}
    assert configurations == {(context, *shape) for context in (512, 1024) for shape in shapes}


def test_a_file_with_current_names_gives_no_warning(tmp_path: Path) -> None:
    item = {**GOOD, "precision": "bf16", "activation_checkpointing": True, "compile": "off"}
    assert grid.read(write_grid(tmp_path, [item])) == ([Configuration(**item)], [])


def test_old_names_are_understood_with_a_warning(tmp_path: Path) -> None:
    old = {"T": 64, "C": 32, "L": 2, "H": 2, "d_ff": 96, "amp": True, "amp_dtype": "bf16"}
    configurations, warnings = grid.read(write_grid(tmp_path, [old, {**old, "amp": False}]))
    assert [c.model_dump(exclude_defaults=True) for c in configurations] == [
        {**GOOD, "d_ff": 96, "precision": precision} for precision in ("bf16", "fp32")
    ]
    assert [warning.partition("grid.json: ")[2] for warning in warnings] == [
        "T is called context_length now",
        "C is called n_embd now",
        "L is called n_layer now",
        "H is called n_head now",
        "amp and amp_dtype are precision now",
    ]


def test_the_same_configuration_twice_is_measured_once(tmp_path: Path) -> None:
    assert len(grid.read(write_grid(tmp_path, [GOOD, GOOD]))[0]) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[", "is not JSON: Expecting value"),
        ([], "contains an empty list, not a list of configurations"),
        ({"T": 1}, "contains a dict, not a list of configurations"),
        ([GOOD, 7], "item 2 is 7, not an object of names and values"),
        ([GOOD, {**GOOD, "n_head": 0}], "item 2: n_head is 0: input should be greater than or"),
        ([{**GOOD, "n_head": 3}], "item 1: n_embd 32 is not a multiple of n_head 3"),
        ([{**GOOD, "context_length": 4}], "item 1: context_length is 4: input should be greater"),
        ([{**GOOD, "n_layer": "2"}], 'item 1: n_layer is "2": input should be a valid integer'),
        ([{**GOOD, "depth": 3}], "item 1: unknown key depth (3); choose one of variant, context_l"),
        ([{"n_layer": 2, "n_head": 2, "n_embd": 32}], "item 1: context_length is missing"),
        ([{**GOOD, "amp": "yes"}], 'item 1: amp is "yes", not true or false'),
        ([{**GOOD, "amp_dtype": "fp8"}], "item 1: precision is \"fp8\": input should be 'auto'"),
        ([{**GOOD, "variant": "rnn"}], "item 1: variant is \"rnn\": input should be 'gpt'"),
    ],
)
def test_an_unusable_grid_is_one_line_with_the_file_the_item_the_key_and_the_value(
    tmp_path: Path, value: Any, message: str
) -> None:
    path = write_grid(tmp_path, value)
    with pytest.raises(SettingsError) as caught:
        grid.read(path)
    line = str(caught.value)
    assert line.startswith(f"grid {path}") and message in line and "\n" not in line
    assert caught.value.exit_code == 2


def test_a_missing_grid_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.json cannot be read .*; name a file"):
        grid.read(tmp_path / "none.json")
