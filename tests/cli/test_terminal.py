import io
import logging
import sys

import pytest

from cli import main, terminal

WILD = "a\x1b[2J\x07\x9bb\tc\n"


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True


def person(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Terminal:
    """The terminal of a person, as standard input, output and error."""
    stream = Terminal()
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream)
    for variable, value in {"TERM": "xterm", "NO_COLOR": "", **environment}.items():
        monkeypatch.setenv(variable, value)
    return stream


def test_a_terminal_is_given_no_control_that_the_model_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = person(monkeypatch)
    terminal.write(WILD)
    assert shown.getvalue() == "a[2Jb\tc\n"
    terminal.aside(WILD)
    assert shown.getvalue().count("\x1b") == 2 * 2
    assert shown.getvalue().endswith("\x1b[2ma[2Jb\tc\x1b[0m\n\x1b[2m\x1b[0m\n")


def test_a_pipe_is_given_what_the_model_says(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.write(WILD)
    terminal.aside("a line")
    assert capsys.readouterr() == (WILD, "a line\n")


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_notes_are_plain_where_no_colours_are_wanted(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    shown = person(monkeypatch, **{variable: value})
    terminal.aside("a line")
    terminal.screen(once=True).note("another")
    assert shown.getvalue() == "a line\nanother\n"


def test_a_screen_is_patient_where_a_person_can_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    person(monkeypatch, TERM="dumb")
    assert terminal.screen(once=False).patient
    assert not terminal.screen(once=True).patient
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\n\ntwo"))
    here = terminal.screen(once=False)
    assert not here.patient
    assert [here.read("") for _ in range(4)] == ["one\n", "\n", "two", None]


def test_a_byte_order_mark_at_the_beginning_of_a_pipe_is_no_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    piped = io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfone\r\n\xef\xbb\xbftwo"), "utf-8")
    monkeypatch.setattr(sys, "stdin", piped)
    with pytest.raises(SystemExit):
        main.main(["--version"])
    read = terminal.screen(once=False).read
    assert [read(""), read("")] == ["one\n", "\ufefftwo"]


def test_a_log_line_spells_out_the_controls_in_the_name_of_a_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = logging.makeLogRecord({"msg": "%s is skipped\n\tnext", "args": ("a\x1b[2J\r.txt",)})
    main._Stderr().emit(record)
    assert capsys.readouterr().err == "a\\x1b[2J\\r.txt is skipped\n\tnext\n"
