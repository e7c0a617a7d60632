"""Each rule of a book's cleaning on a small example, and what no rule may do to prose."""

from collections.abc import Callable

import pytest

from nielsgpt.data.sources import booktext as rules
from nielsgpt.data.sources.booktext import clean_book

PROSE = (
    "It was late, and the harbour lay still. I counted nine boats; one of them, the smallest, "
    'had no name.\n\n"Who is there?" he said -- and nobody answered.\n\n'
    "There were four of us that night, and part of the crew had gone ashore."
)
FIRST = "Once upon a time there was a long line of prose that goes on and on, as they do."


@pytest.mark.parametrize(
    ("rule", "text", "wanted"),
    [
        (rules.normalize_line_ends, "a  \r\nb\rc", "a\nb\nc"),
        (
            rules.join_hyphenated,
            "an exam-\n  ple and well-\nknown, a well-known\nend -- \nnext",
            None,
        ),
        (rules.remove_dedications, f"This work is in the public domain.\n\n{FIRST}", FIRST),
        (
            rules.remove_contents,
            f"CONTENTS\n\nI. The Sea ...... 1\nII. The Shore   14\n\nBOOK I\n\n{FIRST}",
            FIRST,
        ),
        (rules.remove_notes, f"{FIRST}\n\nFootnote 3: See above.\n\n* Or sea.", FIRST),
        (rules.remove_notes, f"{FIRST}\n\nNOTES\n\nOne.\n\nTwo.\n\nBOOK II\n\nMore.", None),
        (rules.remove_notes, "He went[1] home.\n\n[1] To Rome.", "He went[1] home."),
        (rules.remove_notes, "[1] He went.\n\n[2] He came.", "[1] He went.\n\n[2] He came."),
        (rules.remove_brackets, "a[1] b [see [2]\nthere] {12}c ]", "a b  c "),
        (rules.remove_italics, "a _very_ old _man", "a very old man"),
        (
            rules.remove_line_numbers,
            "Sing, goddess,   10\nof 300 men\n  15  of wrath\n 20\n",
            None,
        ),
        (rules.remove_headings, 'BOOK I. The Sea\n\nTHE END\n\nXIV.\n\nI went.\n\n"NO!"', None),
        (
            rules.simplify_punctuation,
            "\u201cOh\u2014no\u201d \u2018x\u2019 . . . a\u2026 b , c---d  e",
            None,
        ),
        (rules.join_lines, "one\n two\n\n\n three", "one two\n\nthree"),
        (rules.capitalize_i, "and i said i'm, i. (i) Li i", "and I said I'm, i. (i) Li I"),
        (rules.remove_blanks, "one\n\n* * *\n\ntwo", "one\n\ntwo"),
    ],
)
def test_a_rule_does_what_its_name_says(
    rule: Callable[[str], str], text: str, wanted: str | None
) -> None:
    longer = {
        rules.join_hyphenated: "an example and well-known, a well-known\nend -- \nnext",
        rules.remove_notes: f"{FIRST}\n\nBOOK II\n\nMore.",
        rules.remove_line_numbers: "Sing, goddess,\nof 300 men\nof wrath\n\n",
        rules.remove_headings: 'I went.\n\n"NO!"',
        rules.simplify_punctuation: "\"Oh--no\" 'x' ... a... b, c--d e",
    }
    assert rule(text) == (longer[rule] if wanted is None else wanted)


def test_names_of_speakers_go_where_they_come_often() -> None:
    talk = "\n\n".join(f"SOCRATES: Yes, {n}.\n\nMeno: No, {n}." for n in range(5))
    assert rules.remove_speakers(talk) == talk.replace("SOCRATES: ", "").replace("Meno: ", "")
    assert rules.remove_speakers("Note: once.\n\nROME: a city.") == "Note: once.\n\nROME: a city."


def test_every_rule_has_its_place_in_the_order_once() -> None:
    public = {
        value
        for name, value in vars(rules).items()
        if callable(value)
        and getattr(value, "__module__", "") == rules.__name__
        and not name.startswith("_")
        and value is not clean_book
    }
    assert public | {rules.extract_body} == set(rules.STEPS) and len(set(rules.STEPS)) == len(
        rules.STEPS
    )


def test_plain_prose_is_left_as_it_is() -> None:
    assert clean_book(PROSE) == PROSE


def test_cleaning_a_clean_book_changes_nothing() -> None:
    book = f"CONTENTS\n\nBOOK I ... 1\n\nBOOK I\n\n{PROSE}\n\nSee [1]\nhere[2].\n\n[2] A note."
    assert clean_book(clean_book(book)) == clean_book(book) == f"{PROSE}\n\nSee here."


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", ["a", " ", "\n", "[", "{", "-", ".", "* ", "a-\n", "I. "])
def test_a_book_of_nonsense_takes_no_longer_than_a_book(unit: str) -> None:
    clean_book(unit * 200_000)
