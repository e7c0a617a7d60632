"""The spine: one function a stage. Each reads files, calls a room, writes files, and does nothing
when its output is fresh."""

import logging
from collections.abc import Collection, Iterable, Iterator

from nielsgpt.checkpoint.exam_report import EXAM_FILE, FINAL_FILE, ExamReport
from nielsgpt.config.settings import PHASES, Phase
from nielsgpt.data import availability
from nielsgpt.data.cache.distributed_build import BuildPart
from nielsgpt.data.catalog import find_sources
from nielsgpt.errors import DataError
from nielsgpt.pipeline import build_caches, train_tokenizer
from nielsgpt.system.folder_lock import lock
from nielsgpt.system.workspace import Workspace, set_aside
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training import staleness
from nielsgpt.training.staleness import REBUILDS, Stale

log = logging.getLogger("nielsgpt")


def caches(
    workspace: Workspace,
    part: BuildPart | None = None,
    join: int = 0,
    phases: Collection[Phase] = PHASES,
) -> Tokenizer:
    """Tokenize every source of the phases' mixes into train and validation splits, where not yet
    done.

    With `part` only that part of the work is done; `join` parts together make the whole.
    """
    # A tokenizer that must be trained is trained on both mixes.
    workspace = availability.drop_unreadable(
        workspace, phases if train_tokenizer.is_given(workspace) else PHASES
    )
    codec = train_tokenizer.train(workspace)
    build_caches.build_all(workspace, codec, part, join, phases)
    return codec


def check(workspace: Workspace, again: Collection[str] = ()) -> None:
    """Raise what would end the pipeline after hours, before anything is done; `again` are the
    stages that are to be made again."""
    from nielsgpt.pipeline import train_phase
    from nielsgpt.training.run import Resume, check_settings

    continued = set(staleness.begun(workspace)) - set(again)
    for phase in workspace.settings.phases:
        waits = phase == "sft" and workspace.settings.phase(phase).init_from is None
        if waits and phase not in continued:
            check_settings(workspace, phase)  # pretraining makes what it starts from
        else:
            train_phase.check(workspace, phase, Resume(fresh=phase not in continued))


def rebuild(workspace: Workspace, stages: Iterable[str]) -> None:
    """Set aside what these stages made, and what is made again with it; nothing is deleted.

    Raises first what would keep the stages from being done again.
    """
    again = {stage for name in stages for stage in REBUILDS[name]}
    check(workspace, again)
    for phase in workspace.settings.phases:
        if {"caches", phase} & again:
            readable = availability.drop_unreadable(workspace, [phase])
            find_sources(readable.settings, phase, readable.root)
    places = {
        "tokenizer": [workspace.tokenizer],
        "caches": [*map(workspace.splits, PHASES), workspace.cache / "parts"],
        "pretrain": [workspace.checkpoints / "pretrain"],
        "sft": [workspace.checkpoints / "sft"],
        "exam": [workspace.checkpoints / name for name in (EXAM_FILE, FINAL_FILE)],
    }
    if "pretrain" in again and "tokenizer" not in again:
        train_tokenizer.keep(availability.drop_unreadable(workspace))
    # From the end, so that a stop on the way leaves nothing that was made from what is gone.
    with lock(workspace.checkpoints):
        for stage in reversed(places):
            for path in places[stage] if stage in again else ():
                if path.exists():
                    log.info("%s: earlier files are kept in %s", stage, set_aside(path))


def run(workspace: Workspace) -> ExamReport:
    """Every stage in turn; what was trained stays, and what changed since is said in a table.

    Returns the exam's report.
    """
    from nielsgpt.pipeline import exam, train_phase

    check(workspace)
    codec = _needed_caches(workspace)
    if found := list(_stale(workspace, codec)):
        log.warning(
            "trained models are kept; changed since then:\n%s", staleness.table(workspace, found)
        )
    for phase in workspace.settings.phases:
        train_phase.train(workspace, phase)
    return exam.run_exam(workspace)


def _needed_caches(workspace: Workspace) -> Tokenizer:
    """The caches of both phases; a finished phase can do without those that cannot be made."""
    from nielsgpt.pipeline import train_phase

    phases = workspace.settings.phases
    finished = [phase for phase in phases if train_phase.is_finished(workspace, phase)]
    codec = caches(workspace, phases=[phase for phase in phases if phase not in finished])
    for phase in finished:
        try:
            build_caches.build_all(
                availability.drop_unreadable(workspace, [phase]), codec, phases=[phase]
            )
        except DataError as error:
            log.warning("%s: finished, and its caches stay as they are: %s", phase, error)
    return codec


def _stale(workspace: Workspace, tokenizer: Tokenizer) -> Iterator[Stale]:
    """The stages that stay although what they were made from changed."""
    from nielsgpt.training.run import describe_run

    if changed := staleness.tokenizer_changes(workspace):
        yield Stale("tokenizer", changed)
    for phase, before in staleness.begun(workspace).items():
        if phase not in workspace.settings.phases:
            continue
        now = describe_run(availability.drop_uncached(workspace, phase), phase, tokenizer)
        if changed := staleness.changes(before, now):
            yield Stale(phase, changed)


def farewell(workspace: Workspace) -> str:
    """The paths of all results, and the next commands."""
    places = {
        "model": workspace.checkpoints / "best.pt",
        "tokenizer": workspace.tokenizer,
        "caches": workspace.cache,
        "exam": workspace.checkpoints / EXAM_FILE,
        "runs": workspace.runs,
    }
    lines = [f"{what:10} {where}" for what, where in places.items() if where.exists()]
    following = ["make chat"] if "sft" in workspace.settings.phases else []
    following.append("nielsgpt sample --prompt 'The keeper'")
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
