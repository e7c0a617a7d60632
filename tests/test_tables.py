"""Rows as tables."""

from nielsgpt.tables import align_columns, markdown_table

ROWS = [["a", "long name"], ["bcd", ""]]


def test_a_table_has_its_columns_under_each_other() -> None:
    assert align_columns([["id", "name"], *ROWS]) == "id   name\na    long name\nbcd"


def test_in_markdown_a_rule_follows_the_heads() -> None:
    assert markdown_table(("id", "name"), ROWS) == (
        "| id | name |\n| --- | --- |\n| a | long name |\n| bcd |  |"
    )
