"""Rows as documents: whole articles, the right column, and two splits in turn."""

from collections.abc import Iterator
from typing import Any

import pytest

from nielsgpt.conversation import Document
from nielsgpt.data.sources.hf_text import interleave, join_articles, read_texts
from nielsgpt.errors import DataError


def rows(*lines: str) -> Iterator[dict[str, Any]]:
    return ({"text": line} for line in lines)


def test_lines_are_joined_to_whole_articles_without_their_blank_lines() -> None:
    one = ("", " = One = \n", "", " First . \n", "", " = = Part = = \n", "", " Second . \n", "")
    two = (" = Two : a sequel = \n", "", " Third . \n")
    found = list(join_articles(rows(*one, *two), "w", "train"))
    assert [document.text for document in found] == [
        " = One = \n First . \n = = Part = = \n Second . \n",
        " = Two : a sequel = \n Third . \n",
    ]
    assert [document.side for document in found] == ["train", "train"]
    assert [document.name.split()[-1] for document in found] == ["1", "10"]


@pytest.mark.parametrize(
    "line", [" = = Part = = \n", " = = = Deep = = = \n", " x = 2 = y \n", " = \n"]
)
def test_only_a_heading_of_the_first_level_opens_an_article(line: str) -> None:
    found = list(join_articles(rows(" = One = \n", "", line, "", " End . \n"), "w", None))
    assert len(found) == 1


def test_a_heading_in_the_middle_of_a_text_opens_nothing() -> None:
    found = list(
        join_articles(rows(" = One = \n", "", " As in \n", " = a = \n", " End . \n"), "w", None)
    )
    assert len(found) == 1


@pytest.mark.parametrize("column", ["text", "content", "document"])
def test_the_text_is_the_first_of_three_columns_that_is_a_string(column: str) -> None:
    row = {"id": "x", "text": None, "content": 3, column: "a story"}
    assert [d.text for d in read_texts(iter([row]), "w", None)] == ["a story"]


def test_blank_and_missing_texts_are_left_out_and_the_rest_keeps_its_row() -> None:
    given: list[dict[str, Any]] = [{"text": " \n"}, {"text": None}, {"text": "a"}]
    assert list(read_texts(iter(given), "w", "val")) == [Document("a", "w, row 3", "val")]


def test_rows_without_such_a_column_are_refused() -> None:
    with pytest.raises(DataError, match=r"w has no column .*; its columns are id, body$"):
        list(read_texts(iter([{"id": 1, "body": "x"}]), "w", None))


@pytest.mark.parametrize(
    ("few", "many", "every", "order"),
    [
        (3, 6, 2, "v0 t0 t1 v1 t2 t3 v2 t4 t5"),
        (1, 5, 2, "v0 t0 t1 t2 t3 t4"),
        (4, 3, 2, "v0 t0 t1 v1 t2 v2 v3"),
        (2, 2, 0, "v0 v1 t0 t1"),
        (0, 2, 3, "t0 t1"),
    ],
)
def test_two_splits_come_in_turn_and_whole(few: int, many: int, every: int, order: str) -> None:
    val, train = (
        iter([Document(f"{mark}{n}") for n in range(count)])
        for mark, count in (("v", few), ("t", many))
    )
    assert [d.text for d in interleave(val, train, every)] == order.split()
