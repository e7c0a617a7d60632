"""The messages of a client in the order that the model knows: system, then user and assistant.

    system A, user B, user C, system D, assistant E
    ->  system "A, a blank line, D", user "B, a blank line, C"; the reply begins with E

Clients send two messages of one role in a row, a late system message, a greeting of the assistant
first, and a reply that is to be continued last.
"""

import itertools
from collections.abc import Iterable, Sequence

from nielsgpt.conversation import Conversation, Message
from nielsgpt.serve.api_errors import ApiError


def arrange(messages: Sequence[Message]) -> tuple[Conversation, str]:
    """The conversation that waits for a reply, and how the reply begins, mostly "".

    Nothing that was said is left out. Raises Refusal where the user says nothing.
    """
    system = _join(message for message in messages if message.role == "system")
    spoken = (message for message in messages if message.role != "system")
    turns = [
        Message(role, _join(run))
        for role, run in itertools.groupby(spoken, key=lambda message: message.role)
    ]
    if all(turn.role == "assistant" for turn in turns):
        text = "there is no message of the user; send one"
        raise ApiError(400, text, param="messages", code="invalid_value")
    if turns[0].role == "assistant":
        turns.insert(0, Message("user", ""))
    begun = turns.pop().content if turns[-1].role == "assistant" else ""
    opening = [Message("system", system)] if system else []
    return Conversation((*opening, *turns)), begun


def _join(messages: Iterable[Message]) -> str:
    return "\n\n".join(message.content for message in messages if message.content)
