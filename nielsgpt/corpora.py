"""The sources by name: what each yields, and the identity by which a cache knows it changed."""

import difflib
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nielsgpt.cache.build import Sample, guard
from nielsgpt.conversation import Conversation, Document, Message, render, split
from nielsgpt.errors import DataError, SettingsError
from nielsgpt.primer import dialogues, facts, stories
from nielsgpt.settings import Phase, Settings
from nielsgpt.sources import files
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.workspace import file_sha256, fingerprint

log = logging.getLogger("nielsgpt")
AT_ONCE = 512
Items = Iterator[Document] | Iterator[Conversation]


@dataclass(frozen=True)
class Source:
    """A name, what it depends on, and a way to walk it from the start, always in one order.

    The token budgets end the walk's use early; 0 is no budget.
    """

    name: str
    inputs: Any
    walk: Callable[[], Items]
    train_tokens: int = 0
    val_tokens: int = 0


def sources(settings: Settings, phase: Phase, root: Path) -> dict[str, Source]:
    """The sources of one phase's mix. Raises SettingsError for a name that is not known."""
    known = TABLE[phase]
    found = {}
    for name in sorted(settings.mix(phase)):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"sources are {', '.join(known)}"
            raise SettingsError(f"data.mix_{phase} names the unknown source {name!r}; {hint}")
        found[name] = known[name](settings, root)
    return found


def texts(source: Source) -> Iterator[str]:
    """The source's text alone, as a tokenizer is trained on it."""
    for item in source.walk():
        if isinstance(item, Document):
            yield item.text
        else:
            yield "\n".join(message.content for message in item.messages)


def samples(source: Source, phase: Phase, settings: Settings, codec: Tokenizer) -> Iterator[Sample]:
    """The source's documents or conversations, tokenized and, for SFT, rendered with their mask."""
    if phase == "pretrain":
        return _documents(source, settings, codec)
    return _conversations(source, settings, codec)


def identity(source: Source, phase: Phase, settings: Settings) -> str:
    """A fingerprint of everything that decides the source's samples, but the tokenizer."""
    data = settings.data
    if phase == "pretrain":
        return fingerprint(source.inputs, data.on_special_literal)
    return fingerprint(source.inputs, data.on_special_literal_sft, settings.model.context_length)


def _documents(source: Source, settings: Settings, codec: Tokenizer) -> Iterator[Sample]:
    walk = source.walk()
    while group := list(itertools.islice(walk, AT_ONCE)):
        kept = []
        for item in group:
            assert isinstance(item, Document)
            where = f"source {source.name}: {item.name or 'a document'}"
            kept.append(guard(item.text, where, settings.data.on_special_literal) or "")
        for text, ids in zip(kept, codec.encode_batch(kept), strict=True):
            yield Sample(text, [*ids, codec.specials.end], len(text.encode()))


def _conversations(source: Source, settings: Settings, codec: Tokenizer) -> Iterator[Sample]:
    limit = settings.model.context_length + 1
    given = kept = 0
    for item in source.walk():
        assert isinstance(item, Conversation)
        given += _replies(item)
        cleaned = _cleaned(item, source.name, settings)
        for piece in split(cleaned, codec, limit) if cleaned else ():
            ids, mask = render(piece, codec)
            kept += _replies(piece)
            spelled = sum(len(message.content.encode()) for message in piece.messages)
            yield Sample("\n".join(m.content for m in item.messages), ids, spelled, mask)
    if given > kept:
        log.warning(
            "source %s: %d of %d replies left out, for they or what they answer do not fit the "
            "context of %d tokens or spell a special token",
            source.name,
            given - kept,
            given,
            settings.model.context_length,
        )
    if not kept:
        raise DataError(
            f"source {source.name} holds no exchange of user and assistant that fits the context "
            f"of {settings.model.context_length} tokens; raise model.context_length"
        )


def _replies(item: Conversation) -> int:
    return sum(message.role == "assistant" for message in item.messages)


def _cleaned(item: Conversation, source: str, settings: Settings) -> Conversation | None:
    messages = []
    for number, message in enumerate(item.messages, start=1):
        where = f"source {source}: {item.name or 'a conversation'}, message {number}"
        text = guard(message.content, where, settings.data.on_special_literal_sft)
        if text is None:
            return None
        messages.append(Message(message.role, text))
    return Conversation(tuple(messages), item.name)


def primer_inputs() -> list[str]:
    """The primer's facts and its own code: either one changes what it says."""
    package = Path(facts.__file__).parent
    return [file_sha256(path) for path in (facts.FACTS_PATH, *sorted(package.glob("*.py")))]


def _primer_prose(settings: Settings, root: Path) -> Source:
    wanted, seed = settings.data.primer.characters, settings.seed

    def walk() -> Iterator[Document]:
        written = 0
        for number, text in enumerate(stories.prose(facts.load_facts(facts.FACTS_PATH), seed)):
            yield Document(text, f"story {number}")
            written += len(text)
            if written >= wanted:
                return

    return Source("primer", [primer_inputs(), seed, wanted], walk)


def _primer_dialogues(settings: Settings, root: Path) -> Source:
    wanted, seed = settings.data.primer.dialogues, settings.seed

    def walk() -> Iterator[Conversation]:
        told = dialogues.dialogues(facts.load_facts(facts.FACTS_PATH), seed)
        return itertools.islice(told, wanted)

    return Source("primer", [primer_inputs(), seed, wanted], walk)


def _text(settings: Settings, root: Path) -> Source:
    chosen = settings.data.text
    found = files.find(root / chosen.path, files.TEXT_SUFFIXES, "data.text.path")
    inputs = [files.stamps(found), chosen.model_dump()]
    return Source("text", inputs, lambda: files.documents(found, chosen))


def _chat(settings: Settings, root: Path) -> Source:
    found = files.find(root / settings.data.chat.path, files.CHAT_SUFFIXES, "data.chat.path")
    return Source("chat", files.stamps(found), lambda: files.conversations(found))


TABLE: dict[Phase, dict[str, Callable[[Settings, Path], Source]]] = {
    "pretrain": {"primer": _primer_prose, "text": _text},
    "sft": {"primer": _primer_dialogues, "chat": _chat},
}
