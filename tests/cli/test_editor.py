from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from cli.editor import completer, editor, history_file
from cli.slash import COMMANDS

ENTER, ALT_ENTER, CTRL_C, CTRL_D, UP = "\r", "\x1b\r", "\x03", "\x04", "\x1b[A"
Type = Callable[..., str | None]


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "state" / "history"
    monkeypatch.setenv("NIELSGPT_HISTORY", str(path))
    return path


@pytest.fixture
def keyboard(history: Path) -> Iterator[PipeInput]:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        yield keys


@pytest.fixture
def typed(keyboard: PipeInput) -> Type:
    """What a new editor makes of keys pressed."""

    def press(keys: str, offered: str = "") -> str | None:
        keyboard.send_text(keys)
        return editor(pytest.fail)(offered)

    return press


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (f"Hello{ENTER}", "Hello"),
        (f"one{ALT_ENTER}two{ENTER}", "one\ntwo"),
        (f"one\\{ENTER}two\\{ENTER}three{ENTER}", "one\ntwo\nthree"),
        (f"a \\ b{ENTER}", "a \\ b"),
        (f"\x1b[200~one\r\ntwo\n/exit\n\x1b[201~{ENTER}", "one\ntwo\n/exit\n"),
        (f"forgotten{CTRL_C}kept{ENTER}", "kept"),
        (f"{CTRL_D}", None),
        (f"ab\x1b[D\x1b[D{CTRL_D}{ENTER}", "b"),
    ],
)
def test_keys_make_one_message(typed: Type, keys: str, text: str | None) -> None:
    assert typed(keys) == text


def test_control_c_on_an_empty_line_is_an_interrupt(typed: Type) -> None:
    with pytest.raises(KeyboardInterrupt):
        typed(CTRL_C)


def test_an_offered_text_can_be_edited(typed: Type) -> None:
    assert typed(f"!{ENTER}", "Hello") == "Hello!"


def test_bytes_that_are_no_utf8_become_one_replacement_each(
    keyboard: PipeInput, typed: Type
) -> None:
    keyboard.send_bytes(b"caf\xe9 ")
    assert typed(f"ole{ENTER}") == "caf\ufffd ole"


def test_messages_are_remembered_from_one_chat_to_the_next_for_their_owner_alone(
    typed: Type, history: Path
) -> None:
    typed(f"one{ALT_ENTER}two{ENTER}")
    typed(f"/stats{ENTER}")
    assert typed(f"{UP}{ENTER}") == "/stats"
    assert typed(f"{UP}{UP}{UP}{ENTER}") == "one\ntwo"
    assert history.stat().st_mode & 0o777 == 0o600


def offered(text: str) -> list[str]:
    """What Tab would put in."""
    asked = CompleteEvent(completion_requested=True)
    return [found.text for found in completer().get_completions(Document(text), asked)]


def test_tab_completes_commands() -> None:
    assert offered("/te") == ["/temperature"]
    assert offered("/") == list(COMMANDS)
    assert offered("te") == offered("a /te") == offered("/te x") == []


@pytest.mark.usefixtures("root")
def test_tab_completes_the_file_of_a_command_that_takes_one(tmp_path: Path) -> None:
    (tmp_path / "monday.json").touch()
    (tmp_path / "tuesday.json").touch()
    assert offered("/load ") == ["monday.json", "tuesday.json"]
    assert offered("/load mon") == ["day.json"]
    assert offered("load mon") == offered("/system mon") == []


def test_a_history_that_cannot_be_written_is_told_and_done_without(
    keyboard: PipeInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NIELSGPT_HISTORY", str(tmp_path / "file" / "history"))
    told: list[str] = []
    ask = editor(told.append)
    for keys in (f"Hello{ENTER}", f"{UP}{ENTER}"):
        keyboard.send_text(keys)
        assert ask("") == "Hello"
    assert len(told) == 1
    assert told[0].startswith(f"{tmp_path}/file/history cannot be written (")


def test_the_history_lies_where_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIELSGPT_HISTORY", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert history_file() == Path.home() / ".local/state/nielsgpt/chat_history"
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert history_file() == Path("/state/nielsgpt/chat_history")
    monkeypatch.setenv("NIELSGPT_HISTORY", "~/said")
    assert history_file() == Path.home() / "said"
    monkeypatch.setenv("NIELSGPT_HISTORY", "")
    assert history_file() is None
