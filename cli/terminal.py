"""The screens that a chat takes place on: a terminal, one that only writes lines, a pipe."""

import os
import sys
from collections.abc import Callable
from typing import TextIO

from cli.repl import Screen

# A model may say any byte, and a terminal obeys some of them.
CONTROLS = dict.fromkeys(c for c in (*range(32), *range(127, 160)) if chr(c) not in "\n\t")


def screen(once: bool) -> Screen:
    """The screen that standard input and output are; patient where both are a terminal, and not
    everything is read at once."""
    if once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return Screen(_next_line, write, _note, aside, patient=False)
    return Screen(_reader(), write, _note, aside, patient=True)


def write(text: str) -> None:
    """Write the model's text to standard output; a terminal is given none of its controls."""
    sys.stdout.write(text.translate(CONTROLS) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def aside(line: str) -> None:
    """Write a line to standard error, dim on a terminal that has colours."""
    _line(line, sys.stderr)


def _note(line: str) -> None:
    _line(line, sys.stdout)


def _line(text: str, stream: TextIO) -> None:
    if stream.isatty():
        text = text.translate(CONTROLS)
        if not (os.environ.get("NO_COLOR") or _dumb()):
            text = "\n".join(f"\x1b[2m{line}\x1b[0m" for line in text.split("\n"))
    stream.write(f"{text}\n")
    stream.flush()


def _reader() -> Callable[[str], str | None]:
    if _dumb():
        return _plain_line
    from cli.editor import editor

    return editor(aside)


def _dumb() -> bool:
    """Whether the terminal can only write one line after another."""
    return os.environ.get("TERM", "dumb") in ("dumb", "unknown", "")


def _plain_line(offered: str) -> str | None:
    try:
        return input("> ")
    except EOFError:
        write("\n")
        return None
    except KeyboardInterrupt:
        write("\n")
        raise


def _next_line(offered: str) -> str | None:
    return sys.stdin.readline() or None
