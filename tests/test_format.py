"""Numbers and rows as text."""

import pytest

from nielsgpt.format import align_columns, format_bytes, format_count, markdown_table

ROWS = [["a", "long name"], ["bcd", ""]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10.0k"),
        (1_234_567, "1.2M"),
        (3.2e9, "3.2G"),
    ],
)
def test_large_numbers_are_shown_with_a_letter(value: float, text: str) -> None:
    assert format_count(value) == text


def test_sizes_are_shown_in_powers_of_1024() -> None:
    sizes = (512, 2048, 5 * 2**20, 1.5 * 2**30)
    assert [format_bytes(size) for size in sizes] == ["512 bytes", "2.0 KiB", "5.0 MiB", "1.5 GiB"]


def test_the_columns_of_a_table_are_aligned() -> None:
    assert align_columns([["id", "name"], *ROWS]) == "id   name\na    long name\nbcd"


def test_a_rule_follows_the_headings_of_a_markdown_table() -> None:
    assert markdown_table(("id", "name"), ROWS) == (
        "| id | name |\n| --- | --- |\n| a | long name |\n| bcd |  |"
    )
