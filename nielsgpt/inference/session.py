"""A chat session: the history, the system prompt, and streamed replies.

It knows neither terminals nor HTTP. User text is encoded as plain text, so it can never become a
special token.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

from nielsgpt.config.load import validate
from nielsgpt.config.settings import GenerationSettings
from nielsgpt.conversation import Conversation, Message, prompt, render, split_pairs, truncate
from nielsgpt.errors import DataError, SettingsError
from nielsgpt.inference.batcher import Batcher, FinishReason
from nielsgpt.inference.detokenizer import Detokenizer
from nielsgpt.inference.generate import stream_reply
from nielsgpt.inference.sampling import make_generator
from nielsgpt.model.gpt import GPT
from nielsgpt.tokenizers.base import Tokenizer


@dataclass(frozen=True)
class ReplyStats:
    """The tokens of prompt and reply, seconds in total and to the first text (None without text),
    and why the reply ended."""

    prompt_tokens: int
    tokens: int
    seconds: float
    first_s: float | None
    finish_reason: FinishReason | Literal["interrupted"]

    @property
    def tokens_per_s(self) -> float:
        """The reply's tokens per second, prefill included."""
        return self.tokens / self.seconds


class Session:
    """One conversation with one model.

    `history` is what the model will see next; `last` describes the newest reply. All replies are
    sampled from one random stream, so the same seed, turns and retries give the same replies.
    """

    def __init__(
        self,
        model: GPT,
        tokenizer: Tokenizer,
        generation: GenerationSettings,
        system: str | None = None,
    ) -> None:
        self.generation = generation
        self.history = Conversation(())
        self.last: ReplyStats | None = None
        self._model = model
        self._tokenizer = tokenizer
        self._batcher = Batcher(model, 1)  # its cache keeps the chat so far
        self._unanswered: str | None = None  # the last message, if it got no reply
        self.set_system(system)
        self.reset()

    @property
    def system(self) -> str | None:
        """The system prompt, or None."""
        return self.history.system.content if self.history.system else None

    @property
    def context_tokens(self) -> tuple[int, int]:
        """The tokens of the conversation that the model sees, and the context length."""
        limit = self._model.context_length
        ids, _ = render(self.history, self._tokenizer.encode, self._tokenizer.specials)
        return min(len(ids), limit), limit

    def reset(self) -> None:
        """Clear all turns and restart sampling from the seed; the system prompt stays."""
        self.resume(Conversation(self.history.messages[:1] if self.history.system else ()))

    def resume(self, conversation: Conversation) -> None:
        """Continue another conversation, system prompt included; sampling restarts from the seed.

        `retry` answers a last message that has no reply.
        """
        *_, last = split_pairs(conversation) or [()]
        unanswered = len(last) == 1
        self._unanswered = last[0].content if unanswered else None
        messages = conversation.messages[:-1] if unanswered else conversation.messages
        self.history = Conversation(messages)
        self._generator = make_generator(self.generation.seed)

    def set_system(self, text: str | None) -> None:
        """Replace the system prompt of the conversation so far; None or "" removes it."""
        system = [Message("system", text)] if text else []
        self.history = Conversation((*system, *self.history.turns))

    def change(self, name: str, value: float) -> None:
        """Change a generation setting from the next reply on; a seed restarts sampling.

        Raises SettingsError naming the setting and the value.
        """
        tree = {"generation": {**self.generation.model_dump(mode="json"), name: value}}
        self.generation = validate(tree, "this chat").generation
        if name == "seed":
            self._generator = make_generator(self.generation.seed)

    def reply(self, text: str) -> Generator[str, None, None]:
        """Yields the reply to the user's text in pieces of whole characters.

        The oldest turns are dropped from the history if the reply would not fit into the context.
        Of an interrupted reply (the generator closed, Ctrl-C), the text yielded so far stays in the
        history; without any, the user's text does not stay either. Raises DataError for a text
        that is too long for the context.
        """
        yield from self._answer(self.history, text)

    def retry(self) -> Generator[str, None, None]:
        """Yields another reply to the last message, as `reply` does.

        It replaces the previous reply as soon as it has text. Raises DataError if there is no
        message yet.
        """
        yield from self._answer(*self._last_turn())

    def undo(self) -> str:
        """Remove the last message and its reply; returns the message's text.

        Raises DataError if there is no message yet.
        """
        self.history, text = self._last_turn()
        self._unanswered = None
        return text

    def _last_turn(self) -> tuple[Conversation, str]:
        """The conversation before the last message, and that message."""
        if self._unanswered is not None:
            return self.history, self._unanswered
        if not split_pairs(self.history):
            raise DataError("there is no message yet; write one first")
        *before, message, _ = self.history.messages
        return Conversation(tuple(before)), message.content

    def _answer(self, before: Conversation, text: str) -> Generator[str, None, None]:
        context, tokenizer = self._model.context_length, self._tokenizer
        room = min(self.generation.max_new_tokens, context // 2)
        conversation = before.with_message("user", text)
        conversation = truncate(conversation, tokenizer.encode, tokenizer.specials, context - room)
        prompt_ids = prompt(conversation, tokenizer.encode, tokenizer.specials)
        detokenizer = Detokenizer(tokenizer, self.generation.stop_strings)
        reason: FinishReason | Literal["interrupted"] = "interrupted"
        first_at: list[float] = []
        start = perf_counter()
        try:
            pieces = stream_reply(
                self._batcher, prompt_ids, self.generation, self._generator, detokenizer
            )
            reason = yield from _time_first_piece(pieces, first_at)
        except KeyboardInterrupt:
            self._batcher = Batcher(self._model, 1)  # a step may have been interrupted halfway
            raise
        finally:
            if detokenizer.shown:
                self.history = conversation.with_message("assistant", detokenizer.shown)
                self._unanswered = None
            elif before == self.history:
                self._unanswered = text
            seconds = perf_counter() - start
            first_s = first_at[0] - start if first_at else None
            self.last = ReplyStats(len(prompt_ids), detokenizer.tokens, seconds, first_s, reason)


def _time_first_piece(
    pieces: Generator[str, None, FinishReason], first_at: list[float]
) -> Generator[str, None, FinishReason]:
    """Yields the pieces, and appends the time of the first one to `first_at`."""
    with closing(pieces):
        try:
            piece = next(pieces)
        except StopIteration as end:
            reason: FinishReason = end.value
            return reason
        first_at.append(perf_counter())
        yield piece
        return (yield from pieces)


def read_system_prompt(file: Path | None, text: str | None) -> str | None:
    """The content of the file, else the text; None without either.

    Raises SettingsError for a file that cannot be read.
    """
    if file is None:
        return text
    try:
        return file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(
            f"system prompt {file} cannot be read: {reason}; give a text with --system"
        ) from None
