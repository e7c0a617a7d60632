"""Rows as tables."""

from nielsgpt.tables import aligned, markdown

ROWS = [["a", "long name"], ["bcd", ""]]


def test_a_table_has_its_columns_under_each_other() -> None:
    assert aligned([["id", "name"], *ROWS]) == "id   name\na    long name\nbcd"


def test_in_markdown_a_rule_follows_the_heads() -> None:
    assert markdown(("id", "name"), ROWS) == (
        "| id | name |\n| --- | --- |\n| a | long name |\n| bcd |  |"
    )
