"""The spine: one function a stage. Each reads files, calls a room, writes files, and does nothing
when its output is fresh."""

import logging
from typing import Any

from nielsgpt import caching, presence, vocabulary
from nielsgpt.cache.parts import Part
from nielsgpt.settings import PHASES
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.workspace import Workspace

log = logging.getLogger("nielsgpt")


def caches(work: Workspace, part: Part | None = None, join: int = 0) -> Tokenizer:
    """Tokenize every source of both mixes into train and validation splits, where not yet done.

    With `part` only that part of the work is done; `join` parts together make the whole.
    """
    work = presence.readable(work)
    codec = vocabulary.train(work)
    caching.build_all(work, codec, part, join)
    return codec


def run(work: Workspace, fresh: bool = False) -> dict[str, Any] | None:
    """Every stage in turn, trained anew where `fresh`.

    Returns the exam's report, or None where there is nothing to examine.
    """
    from nielsgpt import examination, phases
    from nielsgpt.resume import Resume

    for phase in PHASES:
        phases.check_settings(work, phase)
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
