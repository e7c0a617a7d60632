"""Conversations, and the single function that renders them to token ids.

    <|sys|>You are Vera.<|eot|><|usr|>Capital of Peru?<|eot|><|asst|>Lima.<|eot|>
                                                                     ^^^^^^^^^^^ the loss mask

`prompt` calls `render`, so a prompt is always a prefix of the rendering of the conversation that
continues it. Ids are concatenated, never strings, so text cannot become a special token.
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
    """A text from a source. `name` gives its origin in error messages.

    `side` is set if the dataset has its own splits. Otherwise the hash of `group` decides, or of
    the text if there is no group: near-duplicates share a group and so land in the same split.
    """

    text: str
    name: str = ""
    side: Literal["train", "val"] | None = None
    group: str | None = None


@dataclass(frozen=True)
class Message:
    """One turn: a role and its text. A reply with weight 0 is context, excluded from the loss."""

    role: Role
    content: str
    weight: int = 1


@dataclass(frozen=True)
class Conversation:
    """An optional system message, then user and assistant messages in alternation.

    Conversations with the same `group` share text, so they land in the same split.
    Raises DataError naming `name` for any other order.
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
        """The contents of all messages, joined by newlines."""
        return "\n".join(message.content for message in self.messages)

    def with_message(self, role: Role, content: str) -> "Conversation":
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
        """The ids that open a turn; the model must never sample them."""
        return self.system, self.user, self.assistant

    def opening_id(self, role: Role) -> int:
        """The id that opens a turn with this role."""
        return {"system": self.system, "user": self.user, "assistant": self.assistant}[role]


def parse_conversation(record: Iterable[object], name: str = "") -> Conversation:
    """Parse decoded JSON: a list of {"role": ..., "content": ...} objects.

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
                f"{name}: message {number} contains a lone surrogate, which UTF-8 cannot encode; "
                "fix or remove it"
            ) from None
        messages.append(
            Message(role, item["content"], _parse_weight(item, f"{name}: message {number}"))
        )
    if not messages:
        raise DataError(f"{name}: the conversation has no messages")
    return Conversation(tuple(messages), name)


def _parse_weight(item: dict[str, object], where: str) -> int:
    """The weight of a message, 0 or 1, as in OpenAI fine-tuning files; 1 if absent."""
    weight = item.get("weight")
    if weight is not None and weight not in (0, 1):
        raise DataError(f"{where} has the weight {weight!r}; it must be 0 (not trained on) or 1")
    return 1 if weight is None else int(bool(weight))


def render(
    conversation: Conversation, encode: Encode, specials: Specials
) -> tuple[list[int], list[bool]]:
    """The ids of the whole conversation, and its loss mask.

    The mask is true exactly on assistant text whose weight is not 0 and on the end token after it.
    """
    ids: list[int] = []
    mask: list[bool] = []
    for message in conversation.messages:
        turn = encode(message.content)
        supervised = message.role == "assistant" and message.weight > 0
        ids += [specials.opening_id(message.role), *turn, specials.end]
        mask += [False, *[supervised] * (len(turn) + 1)]
    return ids, mask


def prompt(conversation: Conversation, encode: Encode, specials: Specials) -> list[int]:
    """The ids to sample the next reply from: the rendering, then the assistant token."""
    ids, _ = render(conversation, encode, specials)
    return [*ids, specials.assistant]


def split_pairs(conversation: Conversation) -> list[tuple[Message, ...]]:
    """Split the turns into (user, assistant) pairs; the last one may be (user,) alone."""
    turns = conversation.turns
    return [tuple(turns[start : start + 2]) for start in range(0, len(turns), 2)]


def truncate(
    conversation: Conversation, encode: Encode, specials: Specials, limit: int
) -> Conversation:
    """Drop the oldest (user, assistant) pairs until the prompt has at most `limit` ids.

    The system message and the newest turn always stay. Raises DataError if those two alone are
    too long; the message suggests a remedy that works.
    """
    head = (conversation.system,) if conversation.system else ()
    kept = split_pairs(conversation)
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
    last_length = len(prompt(Conversation(conversation.turns), encode, specials))
    if last_length > limit:
        return DataError(
            f"the last message needs {last_length} tokens and the context has room for {limit}; "
            "shorten it"
        )
    return DataError(
        f"the system prompt and the last message need {length} tokens and the context has room "
        f"for {limit}; shorten one of them, or leave the system prompt out with --system ''"
    )


def split(
    conversation: Conversation, encode: Encode, specials: Specials, limit: int
) -> list[Conversation]:
    """Split the conversation between turns into pieces that render to at most `limit` ids.

    Each piece begins with the system message, so every reply is trained on once and in context. A
    pair that is too long by itself is dropped; compare the numbers of replies to count these.
    """
    head = (conversation.system,) if conversation.system else ()

    def length(turns: Sequence[tuple[Message, ...]]) -> int:
        messages = (*head, *(message for pair in turns for message in pair))
        return len(render(Conversation(messages), encode, specials)[0])

    pieces: list[list[tuple[Message, ...]]] = [[]]
    for pair in (pair for pair in split_pairs(conversation) if len(pair) == 2):
        if length([*pieces[-1], pair]) <= limit:
            pieces[-1].append(pair)
        elif length([pair]) <= limit:
            pieces.append([pair])
    return [
        Conversation((*head, *(message for pair in piece for message in pair)), conversation.name)
        for piece in pieces
        if piece
    ]
