"""The registry of sources: what each yields, and the inputs that its cache depends on."""

import difflib
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nielsgpt.config.settings import Phase, Settings
from nielsgpt.conversation import Conversation, Document
from nielsgpt.data.cache.build import hash_to_unit
from nielsgpt.data.primer import dialogues, persona, stories, withheld
from nielsgpt.data.sources import (
    ancient_mix,
    ancients,
    classics,
    cleaning,
    duplicates,
    files,
    hf_chats,
    hf_hub,
    hf_text,
    roam,
)
from nielsgpt.data.sources.http import RetryPolicy
from nielsgpt.errors import SettingsError
from nielsgpt.system.atomic_files import file_sha256, fingerprint

Items = Iterator[Document] | Iterator[Conversation]
HIDDEN = "hidden files not read"


@dataclass(frozen=True)
class Source:
    """A source of text or conversations: `walk` iterates over it, always in the same order.

    `inputs` is all that the walk depends on. The token budgets end a build early; 0 is unlimited.
    `inspect` counts findings in the data, by description. `is_shuffled`: the beginning of the walk
    is a representative sample.
    """

    name: str
    inputs: Any
    walk: Callable[[], Items]
    train_tokens: int = 0
    val_tokens: int = 0
    inspect: Callable[[], Mapping[str, int]] = dict
    is_shuffled: bool = False


def find_sources(settings: Settings, phase: Phase, root: Path) -> dict[str, Source]:
    """The sources of a phase's mix. Raises like `find_source`."""
    return {name: find_source(settings, phase, name, root) for name in sorted(settings.mix(phase))}


def find_source(settings: Settings, phase: Phase, name: str, root: Path) -> Source:
    """The source of this name.

    Raises SettingsError for an unknown name, DataError if its data is missing.
    """
    known = SOURCES[phase]
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"sources are {', '.join(known)}"
        raise SettingsError(f"data.mix_{phase} names the unknown source {name!r}; {hint}")
    source = known[name](settings, root)
    return _apply_cleaning(source, settings) if phase == "pretrain" else source


def source_fingerprint(source: Source, phase: Phase, settings: Settings) -> str:
    """A fingerprint of everything that determines the samples, except the tokenizer."""
    data = settings.data
    if phase == "pretrain":
        return fingerprint(source.inputs, data.on_special_literal, data.document_tokens)
    return fingerprint(source.inputs, data.on_special_literal_sft, settings.model.context_length)


def _apply_cleaning(source: Source, settings: Settings) -> Source:
    """Apply data.cleaning to the source; if nothing is on, the source and its cache stay as is."""
    chosen = settings.data.cleaning

    def walk() -> Iterator[Document]:
        return cleaning.clean_documents(_documents(source), chosen, source.name)

    if not cleaning.is_on(chosen):
        return source
    return replace(source, inputs=[source.inputs, chosen.model_dump()], walk=walk)


def _documents(source: Source) -> Iterator[Document]:
    for item in source.walk():
        assert isinstance(item, Document)
        yield item


def primer_persona(settings: Settings, root: Path) -> persona.Persona:
    """The persona that data.primer.persona names. Raises as `load_persona` does."""
    return persona.load_persona(settings.data.primer.persona, root)


def choose_system_line(settings: Settings, root: Path) -> str:
    """The system line that the persona's dialogues open with; empty where SFT has none of them.

    Raises as `load_persona` does.
    """
    return primer_persona(settings, root).system if "primer" in settings.mix("sft") else ""


def fingerprint_primer(speaker: persona.Persona) -> list[str]:
    """The persona's files, the questions kept out, the primer's own code: each changes the text."""
    package = Path(persona.__file__).parent
    code = sorted(package.glob("*.py"))
    return [file_sha256(path) for path in (*speaker.files, *withheld.files(), *code)]


def _primer_prose(settings: Settings, root: Path) -> Source:
    wanted, seed = settings.data.primer.characters, settings.seed
    speaker = primer_persona(settings, root)

    def walk() -> Iterator[Document]:
        written = 0
        for number, text in enumerate(stories.prose(speaker, seed)):
            yield Document(text, f"story {number}")
            written += len(text)
            if written >= wanted:
                return

    return Source("primer", [fingerprint_primer(speaker), seed, wanted], walk, is_shuffled=True)


def _primer_dialogues(settings: Settings, root: Path) -> Source:
    wanted, seed = settings.data.primer.dialogues, settings.seed
    speaker = primer_persona(settings, root)

    def walk() -> Iterator[Conversation]:
        return itertools.islice(dialogues.dialogues(speaker, seed), wanted)

    return Source("primer", [fingerprint_primer(speaker), seed, wanted], walk, is_shuffled=True)


def _text(settings: Settings, root: Path) -> Source:
    chosen = settings.data.text
    found = files.find_files(root / chosen.path, files.TEXT_SUFFIXES, "data.text.path")
    inputs = [files.stat_files(found), chosen.model_dump()]
    hidden = files.count_hidden(root / chosen.path, files.TEXT_SUFFIXES)
    return _personal_source(
        "text", inputs, found, hidden, lambda counts: files.read_documents(found, chosen)
    )


def _chat(settings: Settings, root: Path) -> Source:
    found = files.find_files(root / settings.data.chat.path, files.CHAT_SUFFIXES, "data.chat.path")
    hidden = files.count_hidden(root / settings.data.chat.path, files.CHAT_SUFFIXES)
    walk = functools.partial(files.read_conversations, found)
    return _personal_source("chat", files.stat_files(found), found, hidden, walk)


def _roam(settings: Settings, root: Path) -> Source:
    notes = roam.find_notes(root, settings.data.roam)
    hidden = files.count_hidden(roam.find_folder(root, settings.data.roam), roam.SUFFIXES)
    return _personal_source(
        "roam", files.stat_files(notes), notes, hidden, lambda counts: roam.read_notes(notes)
    )


def _personal_source(
    name: str,
    inputs: Any,
    found: list[Path],
    hidden: int,
    walk: Callable[[Counter[str]], Items],
) -> Source:
    """The source of a user's own files; near-duplicates are searched before the first walk."""

    @functools.cache
    def look() -> duplicates.Duplicates:
        counts = Counter({HIDDEN: hidden})
        seen = duplicates.find_duplicates(walk(counts))
        return replace(seen, counts=+(counts + seen.counts + cleaning.count_changes(found)))

    def group() -> Iterator[Any]:
        seen = look()
        for item in walk(Counter()):
            yield replace(item, group=seen.group(item))

    return Source(name, inputs, group, inspect=lambda: look().counts)


def _names(settings: Settings, root: Path) -> Source:
    path = classics.download_if_missing(root, settings.data.names, "data.names")
    return Source("names", files.stat_files([path]), lambda: classics.read_names(path))


def _alice(settings: Settings, root: Path) -> Source:
    path = classics.download_if_missing(root, settings.data.alice, "data.alice")
    size = settings.data.text.chunk_characters
    return Source("alice", [files.stat_files([path]), size], lambda: classics.read_book(path, size))


def _ancients(settings: Settings, root: Path) -> Source:
    chosen, seed = settings.data.ancients, settings.seed
    folder = root / chosen.path
    if not (folder / ancients.MANIFEST).exists():
        ancients.download_books(folder, chosen, RetryPolicy())
    books = ancients.read_manifest(folder, chosen)
    code = [file_sha256(Path(file)) for file in ancients.CODE]
    inputs = [files.stat_files([book.path for book in books]), code, seed]
    return Source("ancients", inputs, lambda: ancients.read_passages(books, seed))


def _ancient_mix(settings: Settings, root: Path) -> Source:
    chosen, fraction = settings.data.ancients, settings.data.val_fraction
    rare = _ancients(settings, root)
    common = SOURCES["pretrain"][chosen.mixed_with](settings, root)
    place = functools.partial(hash_to_unit, settings.seed)
    mix = ancient_mix.WordShareMix(
        "ancient_mix",
        ancient_mix.assign_sides(lambda: _documents(rare), place, fraction),
        ancient_mix.assign_sides(lambda: _documents(common), place, fraction),
        chosen.ancient_share,
        chosen.target_total_words,
    )
    told = [chosen.ancient_share, chosen.target_total_words, fraction, settings.seed]
    inputs = [rare.inputs, common.inputs, *told]
    return Source("ancient_mix", inputs, mix.walk, inspect=common.inspect)


def _hub_text(name: str, settings: Settings, root: Path) -> Source:
    dataset, seed = hf_hub.resolve_dataset(name, getattr(settings.data, name)), settings.seed
    return _limit_tokens(dataset, seed, lambda: hf_text.read_documents(dataset, seed))


def _dolly(settings: Settings, root: Path) -> Source:
    chosen, seed = settings.data.dolly, settings.seed
    dataset = hf_hub.resolve_dataset("dolly", chosen)
    return _limit_tokens(
        dataset, seed, lambda: hf_chats.read_dolly(dataset, seed, chosen.include_system)
    )


def _oasst1(settings: Settings, root: Path) -> Source:
    chosen, seed = settings.data.oasst1, settings.seed
    dataset = hf_hub.resolve_dataset("oasst1", chosen)
    limits = chosen.english_only, chosen.max_messages
    return _limit_tokens(dataset, seed, lambda: hf_chats.read_oasst(dataset, seed, *limits))


def _limit_tokens(dataset: hf_hub.Dataset, seed: int, walk: Callable[[], Items]) -> Source:
    """The source of a Hub dataset; the seed matters only if rows are shuffled."""
    wanted = dataset.settings
    inputs = {**dataset.inputs, "seed": seed if wanted.shuffle_buffer else None}
    budgets = wanted.train_tokens, wanted.val_tokens
    return Source(dataset.source, inputs, walk, *budgets, is_shuffled=wanted.streaming)


SOURCES: dict[Phase, dict[str, Callable[[Settings, Path], Source]]] = {
    "pretrain": {
        "primer": _primer_prose,
        "text": _text,
        "roam": _roam,
        "names": _names,
        "alice": _alice,
        "ancients": _ancients,
        "ancient_mix": _ancient_mix,
        **{name: functools.partial(_hub_text, name) for name in hf_text.SHAPES},
    },
    "sft": {"primer": _primer_dialogues, "chat": _chat, "oasst1": _oasst1, "dolly": _dolly},
}
