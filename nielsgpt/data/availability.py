"""Which sources are there: the optional ones that are not are left out of the mix, and said."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from nielsgpt.config.load import override
from nielsgpt.config.settings import PHASES, Phase, Settings
from nielsgpt.config.source_settings import HubSettings
from nielsgpt.conversation import Conversation, Document
from nielsgpt.data import catalog
from nielsgpt.data.cache import shards
from nielsgpt.data.sources import hf_hub
from nielsgpt.errors import DataError
from nielsgpt.system.workspace import Workspace, read_json, write_json

log = logging.getLogger("nielsgpt")
NOTE = "left_out.json"
Check = Callable[[str], None]


def readable(workspace: Workspace, phases: Iterable[Phase] = PHASES) -> Workspace:
    """The workspace whose mixes of these phases hold only what can be read, or is cached as it is.

    A line, and a note for training, says what is left out and why. Raises DataError where a mix
    has nothing left.
    """
    for phase in phases:
        mixed, lost = drop_missing(workspace, phase, partial(_read, workspace, phase))
        for name, why in lost.items():
            log.info("%s is left out of %s: %s", name, phase, why)
        note = workspace.splits(phase) / NOTE
        if lost != (read_json(note) or {}):
            write_json(note, lost)
        workspace = mixed
    return workspace


def trainable(workspace: Workspace, phase: Phase) -> Workspace:
    """The workspace whose mix of this phase holds only what was cached; a line says its shares.

    Raises DataError where the mix has nothing left.
    """
    folder = workspace.splits(phase)
    known = read_json(folder / NOTE) or {}

    def check(name: str) -> None:
        if name in known:
            raise DataError(known[name])
        if shards.read_meta(folder, f"{name}_train") is None:
            raise DataError("it has no cache; 'nielsgpt caches' makes it")

    mixed, lost = drop_missing(workspace, phase, check)
    if lost:
        mix = mixed.settings.mix(phase)
        shares = ", ".join(f"{name} {share:.3g}" for name, share in mix.items())
        log.info("%s: without %s; the shares are %s", phase, ", ".join(lost), shares)
    return mixed


def drop_missing(
    workspace: Workspace, phase: Phase, check: Check
) -> tuple[Workspace, dict[str, str]]:
    """The workspace with the phase's mix scaled to what is there, and why each other source is not.

    Only those in `data.optional` are checked; `check` raises DataError for one that is missing.
    """
    settings = workspace.settings
    mix, lost = settings.mix(phase), {}
    for name in mix:
        if name in settings.data.optional:
            try:
                check(name)
            except DataError as error:
                lost[name] = str(error)
    if not lost:
        return workspace, {}
    left = {name: share for name, share in mix.items() if name not in lost}
    if not left:
        whys = "; ".join(f"{name}: {why}" for name, why in lost.items())
        raise DataError(f"no source of data.mix_{phase} is there: {whys}")
    total = sum(left.values())
    shares = {name: share / total for name, share in left.items()}
    over = {"data": {f"mix_{phase}": shares}}
    return replace(workspace, settings=override(settings, over, "the sources")), lost


def _read(workspace: Workspace, phase: Phase, name: str) -> None:
    """Raises DataError where the source can neither be read nor is cached as it is now."""
    source = catalog.find_source(workspace.settings, phase, name, workspace.root)
    meta = shards.read_meta(workspace.splits(phase), f"{name}_train")
    if meta is None or meta["inputs"] != catalog.identity(source, phase, workspace.settings):
        next(source.walk(), None)


def origin(settings: Settings, name: str) -> str:
    """Where a source comes from, in a few words."""
    chosen = _settings_of(settings, name)
    if isinstance(chosen, HubSettings):
        found = hf_hub.known(name, chosen)
        revision = found.revision[:12] if found else "newest"
        parts = (chosen.dataset, chosen.config, f"@ {revision}")
        return " ".join(part for part in parts if part)
    return str(getattr(chosen, "path", "invented from the facts"))


def state(workspace: Workspace, phase: Phase, name: str) -> str:
    """Whether a source is there and whether it is cached, in a few words; asks no network."""
    chosen = _settings_of(workspace.settings, name)
    if isinstance(chosen, HubSettings):
        found = hf_hub.known(name, chosen)
        here = "on disk" if found and hf_hub.is_here(found) else "not on disk"
        here = "streamed" if chosen.streaming else here
    else:
        path = getattr(chosen, "path", None)
        here = "there" if path is None or (workspace.root / path).exists() else "not there"
    cached = shards.read_meta(workspace.splits(phase), f"{name}_train")
    return f"{here}, {cached['tokens']:,} tokens cached" if cached else here


def preview(settings: Settings, phase: Phase, name: str, root: Path, count: int) -> list[str]:
    """The first texts of a source; one of the Hub that is not on disk is streamed for it.

    Raises DataError where there are fewer.
    """
    chosen = getattr(settings.data, name, None)
    if isinstance(chosen, HubSettings):
        found = hf_hub.known(name, chosen)
        if found is None or not hf_hub.is_here(found):
            streamed = {"streaming": True, "shuffle_buffer": 0}
            settings = override(settings, {"data": {name: streamed}}, "the sources")
    walk: Iterator[Document | Conversation] = catalog.find_source(
        settings, phase, name, root
    ).walk()
    texts = [item.text for item in itertools.islice(walk, count)]
    if len(texts) < count:
        raise DataError(f"source {name} holds {len(texts)} documents; {count} were asked for")
    return texts


def _settings_of(settings: Settings, name: str) -> object:
    """The section of `data` that configures a source; ancient_mix has that of the ancients."""
    return getattr(settings.data, "ancients" if name == "ancient_mix" else name, None)
