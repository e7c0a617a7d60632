"""What is said and by whom, and the one walk that turns it into token ids.

    <|sys|>You are Vera.<|eot|><|usr|>Capital of Peru?<|eot|><|asst|>Lima.<|eot|>
                                                                     ^^^^^^^^^^^ the loss mask

`render` and `prompt` are the same walk, so a prompt is always a prefix of the rendering of the
conversation that it asks to continue. Ids are assembled, never strings: text cannot become a
special token.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from nielsgpt.errors import DataError

Role = Literal["system", "user", "assistant"]
ROLES: tuple[str, ...] = get_args(Role)
Encode = Callable[[str], list[int]]
SPECIAL_TEXTS = ("<|sys|>", "<|usr|>", "<|asst|>", "<|eot|>")


@dataclass(frozen=True)
class Document:
    """A text from a source; `name` says where it came from, for error messages.

    `side` is that of a dataset which has its own split; None: the hash of the text decides, or
    of its `group`, whose near-duplicates fall to one side together.
    """

    text: str
    name: str = ""
    side: Literal["train", "val"] | None = None
    group: str | None = None


@dataclass(frozen=True)
class Message:
    """One turn: a role and its text. A reply of weight 0 is context and not in the loss."""

    role: Role
    content: str
    weight: int = 1


@dataclass(frozen=True)
class Conversation:
    """Messages in order: at most one system message, first; then user and assistant in turn.

    Conversations of one `group` share text, so they fall to one side of the split together.
    Raises DataError naming `name` when the order is anything else.
    """

    messages: tuple[Message, ...]
    name: str = ""
    group: str | None = None

    def __post_init__(self) -> None:
        for index, message in enumerate(self.turns):
            expected = ("user", "assistant")[index % 2]
            if message.role != expected:
                raise DataError(
                    f"{self.name or 'conversation'}: message {index + 1} has role "
                    f"{message.role!r} where {expected!r} was expected; turns must alternate, "
                    "user first, after at most one system message"
                )

    @property
    def system(self) -> Message | None:
        """The system message, if the conversation opens with one."""
        first = self.messages[0] if self.messages else None
        return first if first is not None and first.role == "system" else None

    @property
    def turns(self) -> tuple[Message, ...]:
        """The messages after the system message."""
        return self.messages[1:] if self.system else self.messages

    @property
    def text(self) -> str:
        """What is said, a message a line."""
        return "\n".join(message.content for message in self.messages)

    def plus(self, role: Role, content: str) -> "Conversation":
        """This conversation with one more message."""
        return Conversation((*self.messages, Message(role, content)), self.name, self.group)


@dataclass(frozen=True)
class Specials:
    """The ids of the four special tokens."""

    system: int
    user: int
    assistant: int
    end: int

    @property
    def roles(self) -> tuple[int, int, int]:
        """Those that open a turn: no model may draw them."""
        return self.system, self.user, self.assistant

    def of(self, role: Role) -> int:
        """The id that opens a turn of this role."""
        return {"system": self.system, "user": self.user, "assistant": self.assistant}[role]


def conversation_from(record: Iterable[object], name: str = "") -> Conversation:
    """A Conversation from decoded JSON: a list of {"role": ..., "content": ...} objects.

    Raises DataError naming `name` and the message for an unknown role or a missing field.
    """
    messages = []
    for number, item in enumerate(record, start=1):
        if not isinstance(item, dict) or not isinstance(item.get("content"), str):
            raise DataError(f'{name}: message {number} is not {{"role": ..., "content": "..."}}')
        role = item.get("role")
        if role not in ROLES:
            raise DataError(
                f"{name}: message {number} has the unknown role {role!r}; "
                f"roles are {', '.join(ROLES)}"
            )
        try:
            item["content"].encode("utf-8")
        except UnicodeEncodeError:
            raise DataError(
                f"{name}: message {number} holds a lone surrogate, which no UTF-8 can spell; "
                "mend or remove it"
            ) from None
        messages.append(Message(role, item["content"], _weight(item, f"{name}: message {number}")))
    if not messages:
        raise DataError(f"{name}: the conversation has no messages")
    return Conversation(tuple(messages), name)


def _weight(item: dict[str, object], where: str) -> int:
    """0 or 1, as fine-tuning files of OpenAI have it."""
    weight = item.get("weight")
    if weight is not None and weight not in (0, 1):
        raise DataError(f"{where} has the weight {weight!r}; it is 0 (not learnt) or 1")
    return 1 if weight is None else int(bool(weight))


def render(
    conversation: Conversation, encode: Encode, specials: Specials
) -> tuple[list[int], list[bool]]:
    """Ids of the whole conversation, and the loss mask.

    The mask is true exactly on the assistant's text, where its weight is not 0, and on the end
    token that closes it.
    """
    ids: list[int] = []
    mask: list[bool] = []
    for message in conversation.messages:
        turn = encode(message.content)
        spoken = message.role == "assistant" and message.weight > 0
        ids += [specials.of(message.role), *turn, specials.end]
        mask += [False, *[spoken] * (len(turn) + 1)]
    return ids, mask


def prompt(conversation: Conversation, encode: Encode, specials: Specials) -> list[int]:
    """Ids that ask for the assistant's next reply: the rendering, then the opening of its turn."""
    ids, _ = render(conversation, encode, specials)
    return [*ids, specials.assistant]


def pairs(conversation: Conversation) -> list[tuple[Message, ...]]:
    """The turns after the system message, as (user, assistant) or a last (user,)."""
    turns = conversation.turns
    return [tuple(turns[start : start + 2]) for start in range(0, len(turns), 2)]


def fit(conversation: Conversation, encode: Encode, specials: Specials, limit: int) -> Conversation:
    """The conversation without its oldest turns, such that its prompt has at most `limit` ids.

    Whole (user, assistant) pairs go, the system message and the newest turn stay.
    Raises DataError when those two alone are longer than `limit`, with a way out that is one.
    """
    head = (conversation.system,) if conversation.system else ()
    kept = pairs(conversation)
    while True:
        shorter = Conversation((*head, *(m for pair in kept for m in pair)), conversation.name)
        length = len(prompt(shorter, encode, specials))
        if length <= limit:
            return shorter
        if len(kept) <= 1:
            raise _too_long(shorter, encode, specials, length, limit)
        kept = kept[1:]


def _too_long(
    conversation: Conversation, encode: Encode, specials: Specials, length: int, limit: int
) -> DataError:
    alone = len(prompt(Conversation(conversation.turns), encode, specials))
    if alone > limit:
        return DataError(
            f"the last message needs {alone} tokens and the context has room for {limit}; "
            "shorten it"
        )
    return DataError(
        f"the system prompt and the last message need {length} tokens and the context has room "
        f"for {limit}; shorten one of them, or leave the system prompt out with --system ''"
    )


def split(
    conversation: Conversation, encode: Encode, specials: Specials, limit: int
) -> list[Conversation]:
    """The conversation cut between turns into pieces whose rendering has at most `limit` ids.

    Each piece opens with the system message, so every reply is learnt once and in context. A pair
    that does not fit by itself is left out; compare the number of replies to count the loss.
    """
    head = (conversation.system,) if conversation.system else ()

    def length(turns: Sequence[tuple[Message, ...]]) -> int:
        messages = (*head, *(message for pair in turns for message in pair))
        return len(render(Conversation(messages), encode, specials)[0])

    pieces: list[list[tuple[Message, ...]]] = [[]]
    for pair in (pair for pair in pairs(conversation) if len(pair) == 2):
        if length([*pieces[-1], pair]) <= limit:
            pieces[-1].append(pair)
        elif length([pair]) <= limit:
            pieces.append([pair])
    return [
        Conversation((*head, *(message for pair in piece for message in pair)), conversation.name)
        for piece in pieces
        if piece
    ]
