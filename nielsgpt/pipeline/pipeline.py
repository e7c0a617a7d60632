"""The spine: one function a stage. Each reads files, calls a room, writes files, and does nothing
when its output is fresh."""

import logging
from typing import Any

from nielsgpt.config.settings import PHASES
from nielsgpt.data import availability
from nielsgpt.data.cache.distributed_build import BuildPart
from nielsgpt.pipeline import build_caches, train_tokenizer
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.base import Tokenizer

log = logging.getLogger("nielsgpt")


def caches(workspace: Workspace, part: BuildPart | None = None, join: int = 0) -> Tokenizer:
    """Tokenize every source of both mixes into train and validation splits, where not yet done.

    With `part` only that part of the work is done; `join` parts together make the whole.
    """
    workspace = availability.readable(workspace)
    codec = train_tokenizer.train(workspace)
    build_caches.build_all(workspace, codec, part, join)
    return codec


def run(workspace: Workspace, fresh: bool = False) -> dict[str, Any] | None:
    """Every stage in turn, trained anew where `fresh`.

    Returns the exam's report, or None where there is nothing to examine.
    """
    from nielsgpt.pipeline import exam, train_phase
    from nielsgpt.training.resume_choice import Resume

    for phase in PHASES:
        train_phase.check_settings(workspace, phase)
    caches(workspace)
    for phase in PHASES:
        train_phase.train(workspace, phase, Resume(fresh=fresh))
    if "primer" not in workspace.settings.data.mix_sft:
        log.info("exam: skipped, for it asks what the primer teaches and data.mix_sft has none")
        return None
    return exam.run_exam(workspace)


def farewell(workspace: Workspace) -> str:
    """Where everything lies, and what to type next."""
    places = {
        "model": workspace.checkpoints / "best.pt",
        "tokenizer": workspace.tokenizer,
        "caches": workspace.cache,
        "exam": workspace.checkpoints / "exam.json",
        "runs": workspace.runs,
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
