"""What cleaning does to a text, letter by letter, and to the documents that it empties."""

import logging
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nielsgpt.config.data_settings import CleaningSettings
from nielsgpt.conversation import Document
from nielsgpt.data.sources.cleaning import clean_documents, clean_text, is_on
from nielsgpt.errors import DataError

COMMON = set(string.ascii_letters + string.digits + " \t\n.,;:!?\"'()-[]")
ANY = st.builds(
    CleaningSettings,
    sanitize=st.sampled_from(["none", "ascii", "basic"]),
    lowercase=st.booleans(),
    collapse_whitespace=st.booleans(),
)


@settings(deadline=None)
@given(st.text())
def test_nothing_on_is_the_very_text(text: str) -> None:
    assert clean_text(text, CleaningSettings()) == text


@pytest.mark.parametrize(
    ("settings", "text", "wanted"),
    [
        (
            {"sanitize": "ascii"},
            "Caf\u00e9 \u2013 \ufb01ve \u00bd \u4f60 {a}",
            "Cafe  five 12  {a}",
        ),
        ({"sanitize": "basic"}, "a{b}*c #1 \u00e9\tz", "a b  c  1 e\tz"),
        ({"sanitize": "basic"}, "a\r\nb\rc", "a\nb\nc"),
        ({"sanitize": "basic"}, "x.,;:!?\"'()-[]y", "x.,;:!?\"'()-[]y"),
        ({"lowercase": True}, "\u00c9TE ONE\r\n", "\u00e9te one\n"),
        ({"collapse_whitespace": True}, " a \t b \n\n\n\n c\n\nd \n", "a b\n\nc\n\nd"),
        ({"collapse_whitespace": True}, "a\n \t\n\n\nb", "a\n\nb"),
        ({"collapse_whitespace": True}, "a\n\n\nb\n\nc\nd", "a\n\nb\n\nc\nd"),
        ({"sanitize": "basic", "lowercase": True, "collapse_whitespace": True}, "A * B", "a b"),
    ],
)
def test_each_way_of_cleaning(settings: dict[str, object], text: str, wanted: str) -> None:
    assert clean_text(text, CleaningSettings.model_validate(settings)) == wanted


@settings(deadline=None)
@given(st.text(), ANY)
def test_what_is_left_is_what_the_settings_allow(text: str, settings: CleaningSettings) -> None:
    left = clean_text(text, settings)
    if settings.sanitize != "none":
        assert left.isascii()
    if settings.sanitize == "basic":
        assert set(left) <= COMMON
    if settings.lowercase and settings.sanitize != "none":
        assert left == left.lower()
    if is_on(settings):
        assert "\r" not in left
    if settings.collapse_whitespace:
        assert "  " not in left and "\t" not in left and "\n\n\n" not in left
        assert left == left.strip()


@settings(deadline=None)
@given(st.text(), ANY)
def test_cleaning_twice_is_cleaning_once(text: str, settings: CleaningSettings) -> None:
    once = clean_text(text, settings)
    if settings.sanitize != "none" or not settings.lowercase:
        assert clean_text(once, settings) == once


def test_documents_keep_their_name_and_side_and_the_empty_ones_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = [Document("A\u00e9", "one", "val"), Document("\u4f60\u597d", "two"), Document("B")]
    with caplog.at_level(logging.INFO, "nielsgpt"):
        found = list(clean_documents(given, CleaningSettings(sanitize="ascii"), "text"))
    assert found == [Document("Ae", "one", "val"), Document("B")]
    assert caplog.messages == ["source text: 1 documents left out because cleaning emptied them"]


def test_a_source_of_which_nothing_is_left_is_an_error() -> None:
    settings = CleaningSettings(sanitize="basic")
    with pytest.raises(
        DataError, match=r"leaves nothing of the 2 documents of source roam; .*none"
    ):
        list(clean_documents([Document("\u4f60"), Document("\u597d")], settings, "roam"))
