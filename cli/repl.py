"""The chat loop: lines in, replies out, over whatever reads and writes."""

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nielsgpt.inference.session import Session

Read = Callable[[], str | None]
Write = Callable[[str], None]

LEAVE_HINT = "type /exit or press Ctrl-D to leave"
HELP = """/exit             leave; so does Ctrl-D
/reset            forget the conversation
/system [TEXT]    show the system prompt, or set another
/temperature X    draw colder or warmer; 0 is greedy
/help             this list
Ctrl-C            stop a reply"""


def converse(session: "Session", read: Read, write: Write, patient: bool) -> None:
    """One line a turn, until `read` gives None or the line is /exit.

    A patient loop is for people: Ctrl-C stops no more than the reply, and a mistake is a line to
    read. For a pipe, both end the program.
    """
    from nielsgpt.errors import NielsError

    while True:
        try:
            line = read()
        except KeyboardInterrupt:
            if not patient:
                raise
            write(f"\n{LEAVE_HINT}\n")
            continue
        if line is None or line.strip() == "/exit":
            return
        try:
            take(session, line.strip(), write)
        except KeyboardInterrupt:
            if not patient:
                raise
            write("\n")
        except NielsError as error:
            if not patient:
                raise
            write(f"{error}\n")


def take(session: "Session", line: str, write: Write) -> None:
    """Obey a slash command, answer anything else, skip a blank line."""
    if line.startswith("/"):
        word, _, rest = line.partition(" ")
        write(COMMANDS.get(word, _unknown)(session, rest.strip()) + "\n")
    elif line:
        answer(session, line, write)


def answer(session: "Session", text: str, write: Write) -> None:
    """Write the reply as it comes, and end its last line."""
    with closing(session.reply(text)) as pieces:
        for piece in pieces:
            write(piece)
    write("\n")


def _reset(session: "Session", rest: str) -> str:
    session.reset()
    return "the conversation is forgotten"


def _system(session: "Session", rest: str) -> str:
    if rest:
        session.set_system(rest)
        return "the system prompt is set"
    return session.system or "there is no system prompt"


def _temperature(session: "Session", rest: str) -> str:
    try:
        temperature = float(rest)
    except ValueError:
        return f"{rest or 'nothing'} is not a number; try /temperature 0.7"
    session.set_temperature(temperature)
    return f"the temperature is {temperature:g}"


def _help(session: "Session", rest: str) -> str:
    return HELP


def _unknown(session: "Session", rest: str) -> str:
    return "there is no such command; /help lists them"


COMMANDS: dict[str, Callable[["Session", str], str]] = {
    "/reset": _reset,
    "/system": _system,
    "/temperature": _temperature,
    "/help": _help,
}
