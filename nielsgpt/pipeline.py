"""The spine: one function a stage. Each reads files, calls a room, writes files, and does nothing
when its output is fresh."""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from nielsgpt.cache import build, shards
from nielsgpt.corpora import Source, identity, samples, sources, texts
from nielsgpt.settings import Phase
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.workspace import Workspace, fingerprint, lock

log = logging.getLogger("nielsgpt")
PHASES: tuple[Phase, ...] = ("pretrain", "sft")


def tokenizer(work: Workspace) -> Tokenizer:
    """Train the tokenizer on the mixes, unless the one on disk was made from just these."""
    settings = work.settings
    mixes = {phase: sources(settings, phase, work.root) for phase in PHASES}
    made_from = fingerprint(
        settings.tokenizer.model_dump(),
        settings.data.mix_pretrain,
        settings.data.mix_sft,
        {phase: {name: s.inputs for name, s in mix.items()} for phase, mix in mixes.items()},
    )
    meta = registry.read_meta(work.tokenizer)
    if meta is not None and meta.get("made_from") == made_from:
        log.info("tokenizer: up to date (%s ids in %s)", meta["vocab_size"], work.tokenizer)
        return registry.load(work.tokenizer)
    why = "its settings or its text changed" if meta else "none yet"
    log.info("tokenizer: training (%s)", why)
    with lock(work.tokenizer):
        made = registry.make(settings.tokenizer, _mixed_texts(work, mixes))
        registry.save(made, work.tokenizer, {"made_from": made_from})
    log.info("tokenizer: %s ids in %s", made.vocab_size, work.tokenizer)
    return made


def caches(work: Workspace) -> Tokenizer:
    """Tokenize every source of both mixes into train and validation splits, where not yet done."""
    codec = tokenizer(work)
    for phase in PHASES:
        folder = work.splits(phase)
        for source in sources(work.settings, phase, work.root).values():
            recipe = _recipe(work, phase, source, codec)
            stale = build.staleness(folder, recipe)
            if stale is None:
                log.info("caches: %s %s up to date", phase, source.name)
                continue
            log.info("caches: %s %s: building (%s)", phase, source.name, stale)
            with lock(folder):
                build.build(folder, recipe, partial(samples, source, phase, work.settings, codec))
            _say_built(folder, phase, source.name)
    return codec


def _recipe(work: Workspace, phase: Phase, source: Source, codec: Tokenizer) -> build.Recipe:
    data = work.settings.data
    return build.Recipe(
        source=source.name,
        inputs=identity(source, phase, work.settings),
        tokenizer=codec.fingerprint,
        vocab_size=codec.vocab_size,
        masked=phase == "sft",
        seed=work.settings.seed,
        val_fraction=data.val_fraction,
        shard_bytes=data.shard_bytes,
    )


def _mixed_texts(work: Workspace, mixes: dict[Phase, dict[str, Source]]) -> Iterator[str]:
    """Text of both mixes, each source by its share, up to `tokenizer.training_characters`."""
    total = work.settings.tokenizer.training_characters
    for phase, mix in mixes.items():
        for name, source in mix.items():
            room = total * work.settings.mix(phase)[name] / len(mixes)
            for text in texts(source):
                yield text
                room -= len(text)
                if room <= 0:
                    break


def _say_built(folder: Path, phase: Phase, name: str) -> None:
    for split in build.SPLITS:
        meta = shards.read_meta(folder, f"{name}_{split}")
        assert meta is not None
        log.info(
            "caches: %s %s %s: %s documents, %s tokens, %.2f tokens per byte",
            phase,
            name,
            split,
            f"{meta['documents']:,}",
            f"{meta['tokens']:,}",
            meta["tokens"] / max(1, meta["text_bytes"]),
        )


def run(work: Workspace, fresh: bool = False) -> dict[str, Any] | None:
    """Every stage in turn, trained anew where `fresh`.

    Returns the exam's report, or None where there is nothing to examine.
    """
    from nielsgpt import examination, phases
    from nielsgpt.resume import Resume

    caches(work)
    for phase in PHASES:
        phases.train(work, phase, Resume(fresh=fresh))
    if "primer" not in work.settings.data.mix_sft:
        log.info("exam: skipped, for it asks what the primer teaches and data.mix_sft has none")
        return None
    return examination.examine(work)


def farewell(work: Workspace) -> str:
    """Where everything lies, and what to type next."""
    places = {
        "model": work.checkpoints / "best.pt",
        "tokenizer": work.tokenizer,
        "caches": work.cache,
        "exam": work.checkpoints / "exam.json",
        "runs": work.runs,
    }
    lines = [f"{what:10} {where}" for what, where in places.items() if where.exists()]
    following = ["make chat", "nielsgpt sample --prompt 'The keeper'"]
    if places["exam"].exists():
        following.append("nielsgpt exam --wrong 20")
    return "\n".join(
        [
            *lines,
            "",
            "next, with the same CONFIG or --config as now:",
            *map("  {}".format, following),
        ]
    )
