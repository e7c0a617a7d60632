"""Which sources are available: missing optional sources are dropped from the mix, with a line."""

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
from nielsgpt.system.atomic_files import read_json, write_json
from nielsgpt.system.workspace import Workspace

log = logging.getLogger("nielsgpt")
NOTE_FILE = "left_out.json"
Check = Callable[[str], None]


def drop_unreadable(workspace: Workspace, phases: Iterable[Phase] = PHASES) -> Workspace:
    """Drop the optional sources that can neither be read nor are cached from the phases' mixes.

    Logs what is dropped and why, and notes it for training. Raises DataError if a mix is empty.
    """
    for phase in phases:
        reduced, missing = drop_missing(
            workspace, phase, partial(_check_readable, workspace, phase)
        )
        for name, reason in missing.items():
            log.info("%s is left out of %s: %s", name, phase, reason)
        note = workspace.splits(phase) / NOTE_FILE
        if missing != (read_json(note) or {}):
            write_json(note, missing)
        workspace = reduced
    return workspace


def drop_uncached(workspace: Workspace, phase: Phase) -> Workspace:
    """Drop the optional sources without a cache from the phase's mix, and log its new shares.

    Raises DataError if the mix is empty.
    """
    folder = workspace.splits(phase)
    known = read_json(folder / NOTE_FILE) or {}

    def check(name: str) -> None:
        if name in known:
            raise DataError(known[name])
        if shards.read_meta(folder, f"{name}_train") is None:
            raise DataError("it has no cache; run 'nielsgpt caches'")

    reduced, missing = drop_missing(workspace, phase, check)
    if missing:
        mix = reduced.settings.mix(phase)
        shares = ", ".join(f"{name} {share:.3g}" for name, share in mix.items())
        log.info("%s: without %s; the shares are %s", phase, ", ".join(missing), shares)
    return reduced


def drop_missing(
    workspace: Workspace, phase: Phase, check: Check
) -> tuple[Workspace, dict[str, str]]:
    """Drop the missing sources from the phase's mix and rescale it; also returns the reasons.

    Only sources in `data.optional` are checked; `check` raises DataError for a missing one.
    """
    settings = workspace.settings
    mix, missing = settings.mix(phase), {}
    for name in mix:
        if name in settings.data.optional:
            try:
                check(name)
            except DataError as error:
                missing[name] = str(error)
    if not missing:
        return workspace, {}
    remaining = {name: share for name, share in mix.items() if name not in missing}
    if not remaining:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        raise DataError(f"no source of data.mix_{phase} is available: {reasons}")
    total = sum(remaining.values())
    shares = {name: share / total for name, share in remaining.items()}
    overrides = {"data": {f"mix_{phase}": shares}}
    return replace(workspace, settings=override(settings, overrides, "the sources")), missing


def _check_readable(workspace: Workspace, phase: Phase, name: str) -> None:
    """Raises DataError if the source can neither be read nor has an up-to-date cache."""
    source = catalog.find_source(workspace.settings, phase, name, workspace.root)
    meta = shards.read_meta(workspace.splits(phase), f"{name}_train")
    if meta is None or meta["inputs"] != catalog.source_fingerprint(
        source, phase, workspace.settings
    ):
        next(source.walk(), None)


def describe_origin(settings: Settings, name: str) -> str:
    """Describe in a few words where a source comes from."""
    section = _source_section(settings, name)
    if isinstance(section, HubSettings):
        dataset = hf_hub.find_known(name, section)
        revision = dataset.revision[:12] if dataset else "newest"
        parts = (section.dataset, section.config, f"@ {revision}")
        return " ".join(part for part in parts if part)
    return str(getattr(section, "path", "invented from the facts"))


def describe_state(workspace: Workspace, phase: Phase, name: str) -> str:
    """Describe in a few words whether a source is available and cached, without network."""
    section = _source_section(workspace.settings, name)
    if isinstance(section, HubSettings):
        dataset = hf_hub.find_known(name, section)
        status = "on disk" if dataset and hf_hub.is_downloaded(dataset) else "not on disk"
        status = "streamed" if section.streaming else status
    else:
        path = getattr(section, "path", None)
        status = "there" if path is None or (workspace.root / path).exists() else "not there"
    cached = shards.read_meta(workspace.splits(phase), f"{name}_train")
    return f"{status}, {cached['tokens']:,} tokens cached" if cached else status


def preview(settings: Settings, phase: Phase, name: str, root: Path, count: int) -> list[str]:
    """The first `count` texts of a source; a Hub dataset that is not on disk is streamed.

    Raises DataError if there are fewer.
    """
    section = getattr(settings.data, name, None)
    if isinstance(section, HubSettings):
        dataset = hf_hub.find_known(name, section)
        if dataset is None or not hf_hub.is_downloaded(dataset):
            streamed = {"streaming": True, "shuffle_buffer": 0}
            settings = override(settings, {"data": {name: streamed}}, "the sources")
    walk: Iterator[Document | Conversation] = catalog.find_source(
        settings, phase, name, root
    ).walk()
    texts = [item.text for item in itertools.islice(walk, count)]
    if len(texts) < count:
        raise DataError(f"source {name} has {len(texts)} documents; {count} were requested")
    return texts


def _source_section(settings: Settings, name: str) -> object:
    """The section of `data` that configures a source; ancient_mix uses `ancients`."""
    return getattr(settings.data, "ancients" if name == "ancient_mix" else name, None)
