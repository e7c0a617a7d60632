"""What runs were told differently."""

from collections.abc import Callable
from pathlib import Path

from nielsgpt.report import comparison, run_reader
from tests.report.conftest import FIRST, SECOND


def test_a_tree_is_flattened_to_dotted_names() -> None:
    tree = {"a": {"b": {"c": None}, "d": {}}, "e": [1, "x"], "f": "caf\u00e9"}
    assert list(comparison.flat(tree)) == [
        *(("a.b.c", "null"), ("a.d", "{}"), ("e", '[1, "x"]'), ("f", "caf\u00e9")),
    ]


def test_only_the_settings_that_differ_are_named_and_missing_ones_are_dashes(
    make: Callable[..., Path],
) -> None:
    first = make(FIRST, settings={"model": {"n_layer": 2, "tied": True}})
    second = make(SECOND, settings={"model": {"n_layer": 3}})
    both = [run_reader.read(first), run_reader.read(second)]
    assert comparison.differing(both) == [["model.n_layer", "2", "3"], ["model.tied", "true", "-"]]
    assert comparison.differing(both[:1] * 2) == []
