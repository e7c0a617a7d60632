"""Lines that only a page's width divided are joined; all others stay."""

import textwrap

from nielsgpt.importers import prose

STORY = (
    "The keeper had lit the lamp before the rain began to fall, and nobody on the island asked him "
    "why he did it so early, for all of them had seen the clouds over the western reef."
)
VERSE = "Tyger Tyger, burning bright,\nIn the forests of the night;\nWhat immortal hand or eye,"
CODE = "def light(lamp):\n    if not lamp.lit:\n        lamp.strike()\n    return lamp"
LIST = "1. Trim the wick and wipe the glass until not a trace of soot is left\n2. Fill the oil"


def test_prose_is_joined_and_verse_code_and_lists_are_left_alone() -> None:
    wrapped = textwrap.fill(STORY, 70)
    text = "\n\n".join((wrapped, VERSE, wrapped, CODE, LIST, wrapped))
    assert prose.unwrap(text) == "\n\n".join((STORY, VERSE, STORY, CODE, LIST, STORY))


def test_a_text_without_hard_line_ends_is_left_alone() -> None:
    text = f"{STORY}\n{STORY}\nShort."
    assert prose.unwrap(text) == text


def test_a_book_loses_its_licence_its_contents_and_its_divided_words() -> None:
    book = (
        "The Project Gutenberg eBook of X\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\n"
        "Contents\n\nCHAPTER I. The Lamp\nCHAPTER II. The Oil\n\n"
        f"{textwrap.fill(STORY, 70).replace('western', 'west-' + chr(10) + 'ern')}\n\n"
        "*** END OF THE PROJECT GUTENBERG EBOOK X ***\nlicence"
    )
    assert "".join(prose.clean(book).split()) == "".join(STORY.split())


def test_running_heads_and_page_numbers_are_seen_and_a_line_that_comes_once_is_not() -> None:
    words = ("oil", "wick", "glass")
    pages = [
        [f"THE LAMP {n}", f"The {word} of it", "more", f"is {word}", "xii"]
        for n, word in enumerate(words)
    ]
    assert prose.margins(pages) == [{0, 4}] * 3
    assert prose.margins(pages[:1]) == [set()]
