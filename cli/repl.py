"""The chat loop: messages in, replies out, over whatever reads and shows them."""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.generation import spent
from cli.slash import is_command, obey, unescape

if TYPE_CHECKING:
    from nielsgpt.inference.session import Session

LEAVE_HINT = "press Ctrl-C again or Ctrl-D to leave"
SILENT = "not a word came; /retry draws again"


@dataclass(frozen=True)
class Screen:
    """Where a chat takes place.

    `read` gives the next message, or None at the end; it is offered a text to begin with. `say`
    takes the model's text, `note` a line in answer to a command, `aside` a line that nobody asked
    for. A patient screen is for people: Ctrl-C stops no more than the reply, and a mistake is a
    line to read. For a pipe, both end the program, and no line is a command.
    """

    read: Callable[[str], str | None]
    say: Callable[[str], None]
    note: Callable[[str], None]
    aside: Callable[[str], None]
    patient: bool


class Chat:
    """A session on a screen. `offered` is the text that the next message begins with."""

    def __init__(self, session: "Session", screen: Screen, stats: bool = False) -> None:
        self.session, self.screen, self.stats = session, screen, stats
        self.offered = ""
        self.leaving = False

    def converse(self) -> None:
        """One message a turn, until there is no more, or a command or a second Ctrl-C leaves."""
        from nielsgpt.errors import NielsError

        hinted = False
        while not self.leaving:
            offered, self.offered = self.offered, ""
            try:
                text = self.screen.read(offered)
            except KeyboardInterrupt:
                if not self.screen.patient:
                    raise
                if hinted:
                    return
                self.screen.aside(LEAVE_HINT)
                hinted = True
                continue
            hinted = False
            if text is None:
                return
            try:
                self.take(text.strip())
            except (KeyboardInterrupt, NielsError) as error:
                if not self.screen.patient:
                    raise
                self.screen.aside(str(error) or "stopped")

    def take(self, text: str) -> None:
        """Obey a command that was typed, answer anything else, skip what is blank."""
        if not text:
            return
        if not self.screen.patient:
            self.answer(text)
        elif not is_command(text):
            self.answer(unescape(text))
        elif line := obey(self, text):
            self.screen.note(line)

    def answer(self, text: str) -> None:
        """Show the reply to a message."""
        self._show(self.session.reply(text))

    def again(self) -> None:
        """Show another reply to the last message."""
        self._show(self.session.retry())

    def _show(self, pieces: Generator[str, None, None]) -> None:
        """Show a reply as it comes, and end its last line."""
        from nielsgpt.errors import NielsError

        patient, said, stopped = self.screen.patient, False, False
        with closing(pieces):
            try:
                for piece in pieces:
                    said = True
                    self.screen.say(piece)
            except KeyboardInterrupt:
                if not patient:
                    raise
                stopped = True
            except NielsError:
                if said:
                    self.screen.say("\n")
                raise
        if said or stopped or not patient:
            self.screen.say("\n")
        if patient and not said:
            self.screen.aside(SILENT)
        if self.stats:
            self.screen.aside(spent(self.session))
