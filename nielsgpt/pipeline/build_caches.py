"""The caches as a stage: every source of both mixes into checked splits, or one part of the work.

A source is cut into blocks, which are encoded in processes and written in their order: so the
bytes are the same for any number of processes, of parts, and of kills on the way.
"""

import itertools
import logging
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from nielsgpt.config.settings import PHASES, Phase
from nielsgpt.data.cache import build, distributed_build, shards
from nielsgpt.data.cache.blocks import DocumentBlock, cut_blocks
from nielsgpt.data.cache.distributed_build import BuildPart, PartWriter
from nielsgpt.data.catalog import Source, find_sources, source_fingerprint
from nielsgpt.data.tokenize import count_characters, make_encoder, make_worker_encoder
from nielsgpt.errors import DataError
from nielsgpt.progress import Progress
from nielsgpt.system.folder_lock import lock
from nielsgpt.system.machine import core_count
from nielsgpt.system.worker_pool import map_in_order
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.base import Tokenizer

log = logging.getLogger("nielsgpt")


def build_all(
    workspace: Workspace,
    tokenizer: Tokenizer,
    part: BuildPart | None = None,
    join: int = 0,
    phases: Iterable[Phase] = PHASES,
) -> None:
    """Every source of these phases' mixes that is not up to date: built, or joined from `join`
    parts; with `part`, only that part of it."""
    # All are looked for before the first is built, which may take hours.
    found = [(phase, find_sources(workspace.settings, phase, workspace.root)) for phase in phases]
    for phase, named in found:
        for source in named.values():
            build_source(workspace, phase, source, tokenizer, part, join)


def build_source(
    workspace: Workspace,
    phase: Phase,
    source: Source,
    tokenizer: Tokenizer,
    part: BuildPart | None = None,
    join: int = 0,
) -> None:
    """The same for one source."""
    stage = _Stage(workspace, phase, source, tokenizer)
    if part is not None:
        stage.build_part(part)
    else:
        stage.build(join)


class _Stage:
    """One source in one phase."""

    def __init__(
        self, workspace: Workspace, phase: Phase, source: Source, tokenizer: Tokenizer
    ) -> None:
        self.work, self.phase, self.source, self.codec = workspace, phase, source, tokenizer
        self.folder = workspace.splits(phase)
        self.recipe = recipe(workspace, phase, source, tokenizer)
        self.label = f"caches: {phase} {source.name}"

    def build(self, join: int) -> None:
        """Both splits, unless they are up to date."""
        stale = build.explain_staleness(self.folder, self.recipe)
        if stale is None:
            log.info("%s up to date", self.label)
            return
        blocks: build.Blocks = self._blocks
        if join:
            blocks = distributed_build.join_parts(self._parts, self.recipe, join, blocks)
        log.info("%s: %s (%s)", self.label, "joining" if join else "building", stale)
        with lock(self.folder):
            build.build(self.folder, self.recipe, blocks, self.source.inspect)
        self._say_built()

    def build_part(self, part: BuildPart) -> None:
        """One part's blocks, unless they are up to date."""
        folder = part.folder(self._parts, self.source.name)
        stale = distributed_build.explain_part_staleness(folder, self.recipe)
        if stale is None:
            log.info("%s: part %s up to date", self.label, part)
            return
        log.info("%s: part %s: building (%s)", self.label, part, stale)
        with lock(folder):
            writer = PartWriter(folder, self.recipe, part)
            try:
                writer.finish(self._write_part(writer, part))
            finally:
                writer.abandon()

    @property
    def _parts(self) -> Path:
        return self.work.cache / "parts" / self.folder.name

    def _write_part(self, writer: PartWriter, part: BuildPart) -> bool:
        """Whether the walk ended, and not the part's share of the token budget."""
        passing: deque[tuple[int, int]] = deque()

        def own() -> Iterator[list[Any]]:
            begun = writer.state["cut"]
            for number, items in enumerate(self._cut(writer.state["read"]), start=begun):
                passing.append((number, len(items)))
                if part.contains(number):
                    yield items

        for block in self._encode(own()):
            while not part.contains(passing[0][0]):
                writer.count_read(passing.popleft()[1])
            writer.add(block)
            writer.count_read(passing.popleft()[1])
            if writer.is_long_enough:
                return False
        for _, documents in passing:
            writer.count_read(documents)
        return True

    def _blocks(self, skip: int) -> Generator[DocumentBlock, None, None]:
        yield from self._encode(self._cut(skip), skip)

    def _cut(self, skip: int) -> Iterator[list[Any]]:
        walk: Iterator[Any] = self.source.walk()
        read = sum(1 for _ in itertools.islice(walk, skip))
        if read < skip:
            raise DataError(
                f"source {self.source.name} now ends after {read:,} documents, but "
                f"{skip:,} were read before; delete {self.folder} and run the same command again"
            )
        return cut_blocks(walk, count_characters)

    def _encode(self, tasks: Iterator[list[Any]], read: int = 0) -> Iterator[DocumentBlock]:
        """The blocks of the tasks, in order; shows how far that is."""
        name, settings = self.source.name, self.work.settings
        files = self.codec.files()
        began, spelled, documents = time.monotonic(), 0, read
        with Progress(f"{self.label}: documents", 0) as progress:
            for block in map_in_order(
                tasks,
                make_encoder(name, self.phase, settings, self.codec),
                make_worker_encoder,
                (name, self.phase, settings, self.codec.kind, files),
                settings.data.workers or core_count(),
            ):
                documents += block.documents
                spelled += int(block.text_bytes.sum())
                rate = spelled / max(1e-9, time.monotonic() - began)
                progress.show(documents, f"{rate / 1e6:.1f} MB/s")
                yield block

    def _say_built(self) -> None:
        for split in shards.SPLITS:
            meta = shards.read_meta(self.folder, f"{self.source.name}_{split}")
            assert meta is not None
            log.info(
                "%s %s: %s documents, %s tokens, %.2f tokens per byte",
                self.label,
                split,
                f"{meta['documents']:,}",
                f"{meta['tokens']:,}",
                meta["tokens"] / max(1, meta["text_bytes"]),
            )
        for what, count in self.source.inspect().items():
            log.info("%s: %s: %s", self.label, what, f"{count:,}")


def recipe(
    workspace: Workspace, phase: Phase, source: Source, tokenizer: Tokenizer
) -> build.Recipe:
    """The recipe of a source's cache."""
    data = workspace.settings.data
    return build.Recipe(
        source=source.name,
        inputs=source_fingerprint(source, phase, workspace.settings),
        tokenizer=tokenizer.fingerprint,
        vocab_size=tokenizer.vocab_size,
        seed=workspace.settings.seed,
        val_fraction=data.val_fraction,
        shard_bytes=data.shard_bytes,
        train_tokens=source.train_tokens,
        val_tokens=source.val_tokens,
        context_length=workspace.settings.model.context_length if phase == "sft" else None,
        revision=_revision(source.inputs),
    )


def _revision(inputs: Any) -> str | None:
    """The dataset's revision, where the source names one."""
    if isinstance(inputs, dict):
        return inputs.get("revision")
    nested = map(_revision, inputs if isinstance(inputs, list) else ())
    return next((found for found in nested if found), None)
