"""The sources by name: what each yields, and the identity by which a cache knows it changed."""

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
from nielsgpt.data.cache.build import side
from nielsgpt.data.primer import dialogues, persona, stories, withheld
from nielsgpt.data.sources import (
    ancient_mix,
    ancients,
    classics,
    cleaning,
    dolly,
    duplicates,
    files,
    hf_hub,
    hf_text,
    oasst,
    plaintext,
    roam,
)
from nielsgpt.data.sources.http import Patience
from nielsgpt.errors import SettingsError
from nielsgpt.system.workspace import file_sha256, fingerprint

Items = Iterator[Document] | Iterator[Conversation]
HIDDEN = "hidden files not read"


@dataclass(frozen=True)
class Source:
    """A name, what it depends on, and a way to walk it from the start, always in one order.

    The token budgets end the walk's use early; 0 is no budget. `look` says, in words, what was
    found in the data and how often. `mixed`: the beginning of the walk is a fair sample of it.
    """

    name: str
    inputs: Any
    walk: Callable[[], Items]
    train_tokens: int = 0
    val_tokens: int = 0
    look: Callable[[], Mapping[str, int]] = dict
    mixed: bool = False


def sources(settings: Settings, phase: Phase, root: Path) -> dict[str, Source]:
    """The sources of one phase's mix. Raises as `one` does."""
    return {name: find_source(settings, phase, name, root) for name in sorted(settings.mix(phase))}


def find_source(settings: Settings, phase: Phase, name: str, root: Path) -> Source:
    """The source of this name. Raises SettingsError where it is not known, DataError where what it
    is made from is not there."""
    known = TABLE[phase]
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"sources are {', '.join(known)}"
        raise SettingsError(f"data.mix_{phase} names the unknown source {name!r}; {hint}")
    source = known[name](settings, root)
    return _clean(source, settings) if phase == "pretrain" else source


def identity(source: Source, phase: Phase, settings: Settings) -> str:
    """A fingerprint of everything that decides the source's samples, but the tokenizer."""
    data = settings.data
    if phase == "pretrain":
        return fingerprint(source.inputs, data.on_special_literal, data.document_tokens)
    return fingerprint(source.inputs, data.on_special_literal_sft, settings.model.context_length)


def _clean(source: Source, settings: Settings) -> Source:
    """The source with data.cleaning applied; itself, and so its cache, where nothing is on."""
    chosen = settings.data.cleaning

    def walk() -> Iterator[Document]:
        return cleaning.clean_documents(_prose(source), chosen, source.name)

    if not cleaning.is_on(chosen):
        return source
    return replace(source, inputs=[source.inputs, chosen.model_dump()], walk=walk)


def _prose(source: Source) -> Iterator[Document]:
    for item in source.walk():
        assert isinstance(item, Document)
        yield item


def primer_persona(settings: Settings, root: Path) -> persona.Persona:
    """The persona that data.primer.persona names. Raises as `load_persona` does."""
    return persona.load_persona(settings.data.primer.persona, root)


def system_line(settings: Settings, root: Path) -> str:
    """The system line that the persona's dialogues open with; empty where SFT has none of them.

    Raises as `load_persona` does.
    """
    return primer_persona(settings, root).system if "primer" in settings.mix("sft") else ""


def primer_inputs(speaker: persona.Persona) -> list[str]:
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

    return Source("primer", [primer_inputs(speaker), seed, wanted], walk, mixed=True)


def _primer_dialogues(settings: Settings, root: Path) -> Source:
    wanted, seed = settings.data.primer.dialogues, settings.seed
    speaker = primer_persona(settings, root)

    def walk() -> Iterator[Conversation]:
        return itertools.islice(dialogues.dialogues(speaker, seed), wanted)

    return Source("primer", [primer_inputs(speaker), seed, wanted], walk, mixed=True)


def _text(settings: Settings, root: Path) -> Source:
    chosen = settings.data.text
    found = files.find(root / chosen.path, files.TEXT_SUFFIXES, "data.text.path")
    inputs = [files.stamps(found), chosen.model_dump()]
    hidden = files.count_hidden(root / chosen.path, files.TEXT_SUFFIXES)
    return _own("text", inputs, found, hidden, lambda counts: files.documents(found, chosen))


def _chat(settings: Settings, root: Path) -> Source:
    found = files.find(root / settings.data.chat.path, files.CHAT_SUFFIXES, "data.chat.path")
    hidden = files.count_hidden(root / settings.data.chat.path, files.CHAT_SUFFIXES)
    walk = functools.partial(files.conversations, found)
    return _own("chat", files.stamps(found), found, hidden, walk)


def _roam(settings: Settings, root: Path) -> Source:
    notes = roam.find(root, settings.data.roam)
    hidden = files.count_hidden(roam.folder(root, settings.data.roam), roam.SUFFIXES)
    return _own("roam", files.stamps(notes), notes, hidden, lambda counts: roam.documents(notes))


def _own(
    name: str,
    inputs: Any,
    found: list[Path],
    hidden: int,
    walk: Callable[[Counter[str]], Items],
) -> Source:
    """The source of a person's own files, in which near-duplicates are looked for once, before it
    is walked for the first time."""

    @functools.cache
    def look() -> duplicates.Found:
        counts = Counter({HIDDEN: hidden})
        seen = duplicates.find(walk(counts))
        return replace(seen, counts=+(counts + seen.counts + plaintext.count_changes(found)))

    def grouped() -> Iterator[Any]:
        seen = look()
        for item in walk(Counter()):
            yield replace(item, group=seen.group(item))

    return Source(name, inputs, grouped, look=lambda: look().counts)


def _names(settings: Settings, root: Path) -> Source:
    path = classics.obtain(root, settings.data.names, "data.names")
    return Source("names", files.stamps([path]), lambda: classics.names(path))


def _alice(settings: Settings, root: Path) -> Source:
    path = classics.obtain(root, settings.data.alice, "data.alice")
    size = settings.data.text.chunk_characters
    return Source("alice", [files.stamps([path]), size], lambda: classics.book(path, size))


def _ancients(settings: Settings, root: Path) -> Source:
    chosen, seed = settings.data.ancients, settings.seed
    folder = root / chosen.path
    if not (folder / ancients.MANIFEST).exists():
        ancients.fetch(folder, chosen, Patience())
    books = ancients.books(folder, chosen)
    code = [file_sha256(Path(file)) for file in ancients.CODE]
    inputs = [files.stamps([book.path for book in books]), code, seed]
    return Source("ancients", inputs, lambda: ancients.documents(books, seed))


def _ancient_mix(settings: Settings, root: Path) -> Source:
    chosen, fraction = settings.data.ancients, settings.data.val_fraction
    rare = _ancients(settings, root)
    common = TABLE["pretrain"][chosen.mixed_with](settings, root)
    place = functools.partial(side, settings.seed)
    made = ancient_mix.WordShareMix(
        "ancient_mix",
        ancient_mix.split_sides(lambda: _prose(rare), place, fraction),
        ancient_mix.split_sides(lambda: _prose(common), place, fraction),
        chosen.ancient_share,
        chosen.target_total_words,
    )
    told = [chosen.ancient_share, chosen.target_total_words, fraction, settings.seed]
    inputs = [rare.inputs, common.inputs, *told]
    return Source("ancient_mix", inputs, made.walk, look=common.look)


def _hub_text(name: str, settings: Settings, root: Path) -> Source:
    dataset, seed = hf_hub.find(name, getattr(settings.data, name)), settings.seed
    return _limit_tokens(dataset, seed, lambda: hf_text.documents(dataset, seed))


def _dolly(settings: Settings, root: Path) -> Source:
    chosen, seed = settings.data.dolly, settings.seed
    dataset = hf_hub.find("dolly", chosen)
    return _limit_tokens(dataset, seed, lambda: dolly.walk(dataset, seed, chosen.include_system))


def _oasst1(settings: Settings, root: Path) -> Source:
    chosen, seed = settings.data.oasst1, settings.seed
    dataset = hf_hub.find("oasst1", chosen)
    limits = chosen.english_only, chosen.max_messages
    return _limit_tokens(dataset, seed, lambda: oasst.walk(dataset, seed, *limits))


def _limit_tokens(dataset: hf_hub.Dataset, seed: int, walk: Callable[[], Items]) -> Source:
    """The source of a dataset of the Hub; the seed decides only where rows are shuffled."""
    wanted = dataset.wanted
    inputs = {**dataset.inputs, "seed": seed if wanted.shuffle_buffer else None}
    budgets = wanted.train_tokens, wanted.val_tokens
    return Source(dataset.source, inputs, walk, *budgets, mixed=wanted.streaming)


TABLE: dict[Phase, dict[str, Callable[[Settings, Path], Source]]] = {
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
