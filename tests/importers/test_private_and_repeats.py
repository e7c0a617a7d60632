"""What is private is found by its form; what the corpus holds already is left out."""

import pytest

from nielsgpt.importers import private
from nielsgpt.importers.repeats import FEWEST_WORDS, Corpus, language

STORY = " ".join(f"the keeper lit lamp number {n} before the rain" for n in range(12))


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("ada.l+x@mail.example.org", "[e-mail]"),
        ("+44 20 7946 0958", "[phone]"),
        ("555-867-5309", "[phone]"),
        ("(030) 1234567", "[phone]"),
        ("4111 1111 1111 1111", "[card]"),
        ("sk-" + "a1B2" * 8, "[key]"),
        ("AKIA" + "ABCDEFGH12345678", "[key]"),
        ("DE89 3704 0044 0532 0130 00", "[IBAN]"),
        ("12 Baker Street", "[address]"),
        ("Hauptstra\u00dfe 12a", "[address]"),
    ],
)
def test_private_data_is_counted_masked_and_replaced(text: str, redacted: str) -> None:
    findings: dict[str, dict[str, object]] = {}
    private.note(f"It was {text}, she said.", findings)
    assert list(findings) == [redacted.strip("[]")]
    assert text not in str(findings)
    assert private.redact(f"It was {text}, she said.") == f"It was {redacted}, she said."


@pytest.mark.parametrize(
    "text",
    [
        "1914-1918",
        "2023-12-31",
        "31.12.2023",
        "4111 1111 1111 1112",
        "3.14159265358979",
        "1,234,567,890",
        "at 12 in the street",
        "pages 100-120",
        "user@host",
        "0000 0000 0000 0000",
    ],
)
def test_what_only_looks_private_stays(text: str) -> None:
    assert private.redact(f"It was {text}, she said.") == f"It was {text}, she said."


def test_a_document_that_is_nearly_there_already_is_left_out() -> None:
    corpus = Corpus()
    assert corpus.without_repeats(STORY) == STORY
    assert corpus.without_repeats(STORY.upper().replace("NUMBER 3", "NUMBER THREE")) == ""
    assert corpus.documents == 1


def test_a_paragraph_stays_where_it_stood_first_and_short_ones_stay_everywhere() -> None:
    corpus = Corpus()
    short = " ".join(["word"] * (FEWEST_WORDS - 1))
    own = [" ".join(f"{name} wrote line {n} himself" for n in range(20)) for name in ("bo", "ed")]
    first, second = (f"{text}\n\n{STORY}\n\n{short}" for text in own)
    assert corpus.without_repeats(first) == first
    assert corpus.without_repeats(second) == f"{own[1]}\n\n{short}"
    assert (corpus.documents, corpus.paragraphs) == (0, 1)
    assert corpus.without_repeats(f"He rowed.\n\n{STORY} and so on\n\nHe came.") == ""
    assert corpus.documents == 1


def test_the_language_of_a_text_is_told() -> None:
    assert language("The keeper lights the lamp every evening before the rain.") == "en"
    assert language("Der W\u00e4rter z\u00fcndet jeden Abend vor dem Regen die Lampe an.") == "de"
    assert language("42") == "?"
