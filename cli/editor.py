"""The line that a person types at a terminal: keys, pasted text, history, completion by Tab."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cli.slash import COMMANDS

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings

PROMPT, CONTINUED = "> ", "  "
WITH_PATH = ("/save", "/load")


def editor(aside: Callable[[str], None]) -> Callable[[str], str | None]:
    """A function that asks for one message, offering a text to edit; None at the end of input.

    Raises KeyboardInterrupt for Ctrl-C on an empty line. A history that cannot be kept is told
    `aside`.
    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.styles import Style

    session: PromptSession[str] = PromptSession(
        [("class:prompt", PROMPT)],
        multiline=True,
        prompt_continuation=CONTINUED,
        key_bindings=_keys(),
        history=_history(history_file(), aside),
        completer=completer(),
        complete_while_typing=False,
        enable_suspend=True,
        style=Style.from_dict({} if os.environ.get("NO_COLOR") else {"prompt": "dim"}),
    )

    def ask(offered: str) -> str | None:
        try:
            text = session.prompt(default=offered)
        except EOFError:
            return None
        # What is not UTF-8 arrives as lone surrogates, which no tokenizer can spell.
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    return ask


def history_file() -> Path | None:
    """Where messages are remembered: $NIELSGPT_HISTORY, None where that is empty; without it
    nielsgpt/chat_history under $XDG_STATE_HOME, or ~/.local/state."""
    named = os.environ.get("NIELSGPT_HISTORY")
    if named is not None:
        return Path(os.path.expanduser(named)) if named else None
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(os.path.expanduser(base)) / "nielsgpt" / "chat_history"


def completer() -> "Completer":
    """Commands by their first letters, and the files of those that take one."""
    from prompt_toolkit.completion import (
        CompleteEvent,
        Completer,
        Completion,
        PathCompleter,
        WordCompleter,
    )
    from prompt_toolkit.document import Document

    meanings = {name: slash.meaning for name, slash in COMMANDS.items()}
    names = WordCompleter(list(COMMANDS), sentence=True, meta_dict=meanings)
    paths = PathCompleter(expanduser=True)

    class Slashes(Completer):
        def get_completions(
            self, document: Document, complete_event: CompleteEvent
        ) -> Iterable[Completion]:
            word, space, rest = document.text_before_cursor.partition(" ")
            if word.startswith("/") and not space:
                yield from names.get_completions(document, complete_event)
            elif word in WITH_PATH:
                yield from paths.get_completions(Document(rest), complete_event)

    return Slashes()


def _history(path: Path | None, aside: Callable[[str], None]) -> "History":
    """The history of a file for its owner alone; where it cannot be written, of this chat only."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        with path.open("ab"):
            return FileHistory(str(path))
    except OSError as error:
        aside(f"{path} cannot be written ({error.strerror}); NIELSGPT_HISTORY= does without")
        return InMemoryHistory()


def _keys() -> "KeyBindings":
    """Enter sends, Alt+Enter or a backslash before Enter begins a new line, Ctrl-C clears."""
    from prompt_toolkit.enums import DEFAULT_BUFFER
    from prompt_toolkit.filters import has_focus
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)

    @keys.add("enter", filter=typing)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=typing)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @keys.add("c-c", filter=typing)
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt)

    return keys
