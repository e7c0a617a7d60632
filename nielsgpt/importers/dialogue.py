"""Turns of a chat as conversations: one speaker becomes the assistant, the others the user.

Ada   18:02  The lamp is out.          user       The lamp is out.
Ada   18:02  Again!                ->             Again!
Noah 18:05   I know. I lit it.         assistant  I know. I lit it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from nielsgpt.conversation import Message
from nielsgpt.importers.content import Chat, Turn


def speakers(chats: Iterable[Chat]) -> Counter[str]:
    """How many messages each person wrote, in chats whose roles are not known."""
    return Counter(turn.speaker for chat in chats for turn in chat if turn.role is None)


def conversations(
    chat: Chat, assistants: Collection[str], pause_hours: float
) -> Iterator[tuple[Message, ...]]:
    """The chat's conversations; a pause begins a new one, and one without a reply is left out."""
    names = {name.casefold() for name in assistants}
    for part in _between_pauses(chat, pause_hours * 3600):
        messages = _join([(_role(turn, names), turn) for turn in part])
        if messages:
            yield messages


def _role(turn: Turn, names: Collection[str]) -> str:
    return turn.role or ("assistant" if turn.speaker.casefold() in names else "user")


def _between_pauses(chat: Chat, pause_s: float) -> Iterator[list[Turn]]:
    part: list[Turn] = []
    for turn in chat:
        times = (part[-1].time, turn.time) if part and turn.role is None else (None, None)
        if times[0] is not None and times[1] is not None and times[1] - times[0] > pause_s:
            yield part
            part = []
        part.append(turn)
    yield part


def _join(turns: Sequence[tuple[str, Turn]]) -> tuple[Message, ...]:
    """Runs of one role as one message, from the first of the user to the last of the assistant."""
    system = [turn.text for role, turn in turns if role == "system"]
    joined: list[Message] = []
    for role, turn in turns:
        if role == "system" or (role == "assistant" and not joined):
            continue
        glue = "\n\n" if turn.role else "\n"
        if joined and joined[-1].role == role:
            text = f"{joined.pop().content}{glue}{turn.text}"
        else:
            text = turn.text
        joined.append(Message("user" if role == "user" else "assistant", text))
    if joined and joined[-1].role == "user":
        joined.pop()
    if not joined:
        return ()
    return (*((Message("system", "\n\n".join(system)),) if system else ()), *joined)
