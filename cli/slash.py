"""Commands typed at a terminal: one table to obey, to help and to complete by.

A command is one line that begins with one slash. Several lines are a message, because they may
have been pasted; `//etc` is the message `/etc`.
"""

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli.generation import fullness, spent, told

if TYPE_CHECKING:
    from cli.repl import Chat

Run = Callable[["Chat", str], str]

KEYS = """Tab              complete a command or a file; Up and Down: earlier messages
Alt+Enter        begin a new line; so does Enter after a backslash
Ctrl-C           stop a reply, clear the line; twice on an empty line: leave
Ctrl-D           leave"""


@dataclass(frozen=True)
class Slash:
    """A command: what runs it and gives the line in answer, its argument, its meaning."""

    run: Run
    argument: str
    meaning: str


def is_command(text: str) -> bool:
    """Whether a typed text is a command, known or not."""
    return text.startswith("/") and not text.startswith("//") and "\n" not in text


def escape(message: str) -> str:
    """The text to type to send this message."""
    return f"/{message}" if message.startswith("/") and "\n" not in message else message


def unescape(text: str) -> str:
    """The message that a typed text sends."""
    return text[1:] if text.startswith("//") and "\n" not in text else text


def obey(chat: "Chat", text: str) -> str:
    """Run the command that the text begins with; returns the answer, or ""."""
    word, *rest = text.split(maxsplit=1)
    if word not in COMMANDS:
        near = difflib.get_close_matches(word, COMMANDS, 1)
        meant = f"the nearest is {near[0]}" if near else "/help lists them"
        return f"there is no command {word}; {meant}; type /{word} to send it as a message"
    return COMMANDS[word].run(chat, rest[0] if rest else "")


def help_text() -> str:
    """Every command with its meaning, then the keys."""
    rows = [(f"{name} {slash.argument}", slash.meaning) for name, slash in COMMANDS.items()]
    return "\n".join([*(f"{usage:<16} {meaning}" for usage, meaning in rows), KEYS])


def _help(chat: "Chat", rest: str) -> str:
    return help_text()


def _system(chat: "Chat", rest: str) -> str:
    if rest:
        chat.session.set_system(rest)
        return "the system prompt is set"
    return chat.session.system or "there is no system prompt"


def _reset(chat: "Chat", rest: str) -> str:
    chat.session.reset()
    return "the conversation is cleared"


def _retry(chat: "Chat", rest: str) -> str:
    chat.again()
    greedy = chat.session.generation.temperature == 0.0
    return "greedy sampling always gives the same reply; try /temperature 0.7" if greedy else ""


def _undo(chat: "Chat", rest: str) -> str:
    chat.offered = escape(chat.session.undo())
    return "the last message and its reply are removed"


def _save(chat: "Chat", rest: str) -> str:
    from nielsgpt.inference import transcript

    first, _, other = rest.partition(" ")
    forced = first == "--force"
    name = other.strip() if forced else rest
    if not name:
        return "save it where? try /save chat.json"
    transcript.save(chat.session.history, _path(name), forced)
    return f"saved as {name}"


def _load(chat: "Chat", rest: str) -> str:
    from nielsgpt.inference import transcript

    if not rest:
        return "load which file? try /load chat.json"
    chat.session.resume(transcript.load(_path(rest)))
    return f"loaded {rest}; {fullness(chat.session)}"


def _path(name: str) -> Path:
    return Path(os.path.expanduser(name))  # Path.expanduser fails where `~name` is nobody's


def _stats(chat: "Chat", rest: str) -> str:
    return f"{spent(chat.session)}\n{told(chat.session.generation)}"


def _exit(chat: "Chat", rest: str) -> str:
    chat.leaving = True
    return ""


def _number(field: str, kind: type[int] | type[float]) -> Run:
    """A command that shows one of the generation settings, or sets it."""

    def run(chat: "Chat", rest: str) -> str:
        present = getattr(chat.session.generation, field)
        name = field.replace("_", " ")
        if not rest:
            return f"the {name} is {present:g}"
        try:
            value = kind(rest)
        except ValueError:
            whole = "a whole number" if kind is int else "a number"
            return f"{rest} is not {whole}; the {name} is still {present:g}"
        chat.session.change(field, value)
        return f"the {name} is {value:g}"

    return run


COMMANDS: dict[str, Slash] = {
    "/help": Slash(_help, "", "this list"),
    "/retry": Slash(_retry, "", "generate another reply to the last message"),
    "/undo": Slash(_undo, "", "remove the last message and its reply, and edit the message"),
    "/reset": Slash(_reset, "", "clear the conversation and restart sampling from the seed"),
    "/system": Slash(_system, "[TEXT]", "show or replace the system prompt"),
    "/save": Slash(_save, "FILE", "save the conversation; --force FILE replaces a file"),
    "/load": Slash(_load, "FILE", "continue a saved conversation"),
    "/temperature": Slash(_number("temperature", float), "X", "sampling temperature; 0: greedy"),
    "/top-k": Slash(_number("top_k", int), "N", "sample from the N most likely tokens; 0: all"),
    "/top-p": Slash(
        _number("top_p", float), "X", "sample from the smallest set with this probability; 1: all"
    ),
    "/seed": Slash(_number("seed", int), "N", "restart sampling from this seed"),
    "/max-tokens": Slash(_number("max_new_tokens", int), "N", "maximum tokens per reply"),
    "/stats": Slash(_stats, "", "speed of the last reply, context use, sampling settings"),
    "/exit": Slash(_exit, "", "leave"),
}
