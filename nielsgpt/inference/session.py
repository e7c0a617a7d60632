"""A chat as a stream of text pieces: the history, the system prompt, one reply after another.

It knows neither terminals nor HTTP. What the user writes is encoded as text, so it can never
become a special token.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

from nielsgpt.config.load import validate
from nielsgpt.config.settings import GenerationSettings
from nielsgpt.conversation import Conversation, Message, fit, pairs, prompt, render
from nielsgpt.errors import DataError, SettingsError
from nielsgpt.inference.batcher import Batcher, FinishReason
from nielsgpt.inference.detokenizer import Detokenizer
from nielsgpt.inference.reply import stream_reply
from nielsgpt.inference.sampling import generator_for
from nielsgpt.model.gpt import GPT
from nielsgpt.tokenizers.base import Tokenizer


@dataclass(frozen=True)
class ReplyRecord:
    """What one reply took: ids of its prompt, ids written, seconds in all and to the first piece
    (None: there was none), and why it ended."""

    prompt_tokens: int
    tokens: int
    seconds: float
    first_s: float | None
    finish_reason: FinishReason | Literal["interrupted"]

    @property
    def tokens_per_s(self) -> float:
        """Ids written a second, reading the prompt included."""
        return self.tokens / self.seconds


class Session:
    """One conversation with one model.

    `history` is what the model will see again; `last` tells about the newest reply. The draws of
    a session are one sequence from the seed: the same turns and retries give the same replies.
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
        self.last: ReplyRecord | None = None
        self._model, self._tokenizer = model, tokenizer
        self._batch = Batcher(model, 1)  # it remembers what it has read of the chat
        self._unanswered: str | None = None  # the last message, where no word came in reply
        self.set_system(system)
        self.reset()

    @property
    def system(self) -> str | None:
        """The system prompt, if there is one."""
        return self.history.system.content if self.history.system else None

    @property
    def context_tokens(self) -> tuple[int, int]:
        """How many ids of the conversation the model sees, and how many it could see."""
        size = self._model.context_length
        return min(
            len(render(self.history, self._tokenizer.encode, self._tokenizer.specials)[0]), size
        ), size

    def reset(self) -> None:
        """Forget all turns and start the draws anew; the system prompt stays."""
        self.resume(Conversation(self.history.messages[:1] if self.history.system else ()))

    def resume(self, conversation: Conversation) -> None:
        """Go on from another conversation, system prompt included, and start the draws anew.

        A last message without a reply is one to `retry`.
        """
        *_, last = pairs(conversation) or [()]
        self._unanswered = last[0].content if len(last) == 1 else None
        known = conversation.messages[:-1] if len(last) == 1 else conversation.messages
        self.history = Conversation(known)
        self._generator = generator_for(self.generation.seed)

    def set_system(self, text: str | None) -> None:
        """Put another system prompt, or with none or "" no prompt, before the turns so far."""
        opening = [Message("system", text)] if text else []
        self.history = Conversation((*opening, *self.history.turns))

    def change(self, name: str, value: float) -> None:
        """Set one of the generation settings from the next reply on; a seed starts the draws anew.

        Raises SettingsError naming the setting and the value.
        """
        tree = {"generation": {**self.generation.model_dump(mode="json"), name: value}}
        self.generation = validate(tree, "this chat").generation
        if name == "seed":
            self._generator = generator_for(self.generation.seed)

    def reply(self, text: str) -> Generator[str, None, None]:
        """Yields the reply to the user's text in pieces of whole characters.

        The oldest turns leave the history when the reply would have no room in the context. An
        interrupted reply (the generator closed, Ctrl-C) stays in the history as far as it was
        yielded; where nothing was said, the user's text does not stay either. Raises DataError for
        a text that is too long for the context.
        """
        yield from self._answer(self.history, text)

    def retry(self) -> Generator[str, None, None]:
        """Yields another reply to the last message, from the next draws, as `reply` does.

        It takes the place of the reply before as soon as it has a word. Raises DataError where
        nothing was asked.
        """
        yield from self._answer(*self._last_turn())

    def undo(self) -> str:
        """Take the last message and its reply back; returns the message's text.

        Raises DataError where nothing was asked.
        """
        self.history, text = self._last_turn()
        self._unanswered = None
        return text

    def _last_turn(self) -> tuple[Conversation, str]:
        """The conversation before the last message, and that message."""
        if self._unanswered is not None:
            return self.history, self._unanswered
        if not pairs(self.history):
            raise DataError("nothing was said yet; write a message first")
        *before, asked, _ = self.history.messages
        return Conversation(tuple(before)), asked.content

    def _answer(self, before: Conversation, text: str) -> Generator[str, None, None]:
        context, tokenizer = self._model.context_length, self._tokenizer
        room = min(self.generation.max_new_tokens, context // 2)
        asked = fit(before.plus("user", text), tokenizer.encode, tokenizer.specials, context - room)
        prompt_ids = prompt(asked, tokenizer.encode, tokenizer.specials)
        said = Detokenizer(tokenizer, self.generation.stop_strings)
        reason: FinishReason | Literal["interrupted"] = "interrupted"
        came_s: list[float] = []
        started_s = perf_counter()
        try:
            pieces = stream_reply(self._batch, prompt_ids, self.generation, self._generator, said)
            reason = yield from _record_reply(pieces, came_s)
        except KeyboardInterrupt:
            self._batch = Batcher(self._model, 1)  # a step of it may have been cut in two
            raise
        finally:
            if said.shown:
                self.history, self._unanswered = asked.plus("assistant", said.shown), None
            elif before == self.history:
                self._unanswered = text
            seconds = perf_counter() - started_s
            first_s = came_s[0] - started_s if came_s else None
            self.last = ReplyRecord(len(prompt_ids), said.tokens, seconds, first_s, reason)


def _record_reply(
    pieces: Generator[str, None, FinishReason], came_s: list[float]
) -> Generator[str, None, FinishReason]:
    """The same pieces, and the time at which the first of them came."""
    with closing(pieces):
        try:
            piece = next(pieces)
        except StopIteration as end:
            reason: FinishReason = end.value
            return reason
        came_s.append(perf_counter())
        yield piece
        return (yield from pieces)


def system_prompt(file: Path | None, text: str | None) -> str | None:
    """The text of the file that was named, else the text that was given; None without either.

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
