"""A chat as a stream of text pieces: the history, the system prompt, one reply after another.

It knows neither terminals nor HTTP. What the user writes is encoded as text, so it can never
become a special token.
"""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

from pydantic import ValidationError

from nielsgpt.conversation import Conversation, Message, fit, prompt
from nielsgpt.errors import SettingsError
from nielsgpt.inference.generate import FinishReason
from nielsgpt.inference.reply import speak
from nielsgpt.inference.sampling import generator_for
from nielsgpt.inference.textstream import TextStream
from nielsgpt.model.gpt import GPT
from nielsgpt.primer.dialogues import SYSTEM_LINE
from nielsgpt.settings import GenerationSettings
from nielsgpt.tokenizers.base import Tokenizer


@dataclass(frozen=True)
class ReplyRecord:
    """What one reply took: ids read, ids written, seconds in all, and why it ended."""

    prompt_tokens: int
    tokens: int
    seconds: float
    finish_reason: FinishReason | Literal["interrupted"]

    @property
    def tokens_per_s(self) -> float:
        """Ids written a second, reading the prompt included."""
        return self.tokens / self.seconds


class Session:
    """One conversation with one model.

    `history` is what the model will see again; `last` tells about the newest reply. The draws of
    a session are one sequence from the seed: the same turns give the same replies.
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
        self.set_system(system)
        self.reset()

    @property
    def system(self) -> str | None:
        """The system prompt, if there is one."""
        return self.history.system.content if self.history.system else None

    def reset(self) -> None:
        """Forget all turns and start the draws anew; the system prompt stays."""
        self.history = Conversation(self.history.messages[:1] if self.history.system else ())
        self._generator = generator_for(self.generation.seed)

    def set_system(self, text: str | None) -> None:
        """Put another system prompt, or with none or "" no prompt, before the turns so far."""
        turns = self.history.messages[1:] if self.history.system else self.history.messages
        self.history = Conversation((*([Message("system", text)] if text else []), *turns))

    def set_temperature(self, temperature: float) -> None:
        """Draw colder or warmer from the next reply on. Raises SettingsError below 0."""
        changed = {**self.generation.model_dump(), "temperature": temperature}
        try:
            self.generation = GenerationSettings.model_validate(changed)
        except ValidationError:
            raise SettingsError(
                f"temperature {temperature:g} is not 0 (greedy) or a finite number above it"
            ) from None

    def reply(self, text: str) -> Generator[str, None, None]:
        """Yields the reply to the user's text in pieces of whole characters.

        The oldest turns leave the history when the reply would have no room in the context. An
        interrupted reply (the generator closed, Ctrl-C) stays in the history as far as it was
        yielded; where nothing was said, the user's text does not stay either. Raises DataError for
        a text that is too long for the context.
        """
        context, tokenizer = self._model.context_length, self._tokenizer
        room = min(self.generation.max_new_tokens, context // 2)
        asked = fit(self.history.plus("user", text), tokenizer, context - room)
        prompt_ids = prompt(asked, tokenizer)
        said = TextStream(tokenizer, self.generation.stop_strings)
        reason: FinishReason | Literal["interrupted"] = "interrupted"
        started_s = perf_counter()
        try:
            reason = yield from speak(
                self._model, prompt_ids, self.generation, self._generator, said
            )
        finally:
            if said.shown:
                self.history = asked.plus("assistant", said.shown)
            seconds = perf_counter() - started_s
            self.last = ReplyRecord(len(prompt_ids), said.tokens, seconds, reason)


def system_prompt(file: Path | None, text: str | None, shipped: Path) -> str:
    """The first there is: a file that was named, a text that was given, the shipped file, the
    line that the primer's dialogues open with.

    Raises SettingsError for a file that cannot be read.
    """
    if file is None and text is not None:
        return text
    if file is None and not shipped.is_file():
        return SYSTEM_LINE
    path = file or shipped
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(
            f"system prompt {path} cannot be read: {reason}; give a text with --system"
        ) from None
