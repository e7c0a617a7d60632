"""nielsgpt caches: build, verify and describe the token caches."""

import logging
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import ONE_TEXT, PATH, one_text, resettled, with_workspace
from cli.tokenizer import KINDS

if TYPE_CHECKING:
    from nielsgpt.system.workspace import Workspace

TOKENS = click.IntRange(0)


def _numbers(context: object, option: object, text: str | None) -> tuple[int, int] | None:
    """i/n as two numbers."""
    found = re.fullmatch(r"(\d+)/(\d+)", text or "")
    if text is None or (found and 1 <= int(found[1]) <= int(found[2])):
        return (int(found[1]), int(found[2])) if found else None
    raise click.BadParameter(f"{text!r} is not a part; write the second of three as 2/3")


@click.group("caches", invoke_without_command=True)
@with_workspace
@click.option("--text", metavar="PATH", help="Your text alone: no other source, no SFT.")
@click.option("--kind", type=click.Choice(KINDS), help="tokenizer.kind")
@click.option("--vocab-size", type=int, help="tokenizer.vocab_size")
@click.option("--cache-dir", help="data.cache_dir")
@click.option("--seed", type=TOKENS, help="seed")
@click.option("--shard-bytes", type=int, help="data.shard_bytes")
@click.option("--roam-dir", help="data.roam.path")
@click.option("--fineweb-train-tokens", type=TOKENS, help="data.fineweb_edu.train_tokens")
@click.option("--fineweb-val-tokens", type=TOKENS, help="data.fineweb_edu.val_tokens")
@click.option("--workers", type=TOKENS, help="data.workers")
@click.option(
    "--part",
    callback=_numbers,
    metavar="I/N",
    help="Build one part, such as 1/3, on each of several machines.",
)
@click.option("--join", type=click.IntRange(1), help="Join this many finished parts.")
def command(
    workspace: "Workspace",
    part: tuple[int, int] | None,
    join: int | None,
    text: str | None,
    kind: str | None,
    vocab_size: int | None,
    **over: Any,
) -> None:
    """Tokenize the configured sources, unless their caches are up to date.

    The options named after a setting override it for this command only; put lasting changes into
    your config. A stopped build resumes from its last finished shard. --text without --config uses
    configs/text.json.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        if any(value not in (None, ()) for value in context.params.values()):
            raise click.UsageError(f"options go after the word {context.invoked_subcommand}")
        return
    if part and join:
        raise click.UsageError("--part and --join exclude each other")
    from nielsgpt.data.cache.distributed_build import BuildPart
    from nielsgpt.pipeline import pipeline

    tokenizer = _given(kind=kind, vocab_size=vocab_size)
    workspace = resettled(_with(workspace, **over), {"tokenizer": tokenizer})
    if text is not None:
        named = context.params["config"] is not None
        workspace = resettled(workspace, one_text(text, named))
    pipeline.caches(workspace, part=BuildPart(*part) if part else None, join=join or 0)
    if text is not None and context.params["config"] is None:
        chosen = [f"data.text.path={text}"]
        chosen += [f"tokenizer.{name}={value}" for name, value in tokenizer.items()]
        sets = " ".join(f"--set {shlex.quote(one)}" for one in chosen)
        click.echo(f"next: nielsgpt pretrain --config {ONE_TEXT}.json {sets}")


@command.command("verify")
@with_workspace
@click.option("--cache-dir", help="data.cache_dir")
def verify(workspace: "Workspace", cache_dir: str | None) -> None:
    """Compare every file of the caches with its checksum."""
    from nielsgpt.data.cache import inventory

    folders = _folders(_with(workspace, cache_dir=cache_dir))
    faults = [fault for folder in folders.values() for fault in inventory.find_faults(folder)]
    for fault in faults:
        logging.getLogger("nielsgpt").error("%s", fault)
    if faults:
        raise click.exceptions.Exit(1)
    count = sum(len(inventory.list_names(folder)) for folder in folders.values())
    click.echo(f"all correct: {count} splits")


@command.command("show")
@with_workspace
@click.option("--cache-dir", help="data.cache_dir")
def show(workspace: "Workspace", cache_dir: str | None) -> None:
    """Print the tokens of each source and the share that training uses."""
    import time

    from nielsgpt.data.cache import inventory
    from nielsgpt.format import align_columns
    from nielsgpt.report import cache_report

    workspace = _with(workspace, cache_dir=cache_dir)
    found = list(
        inventory.list_splits(_folders(workspace), workspace.settings.model.context_length)
    )
    click.echo(align_columns(cache_report.table(found, time.time())))
    for line in cache_report.findings(found):
        click.echo(line)


@command.command("card")
@with_workspace
@click.option("--out", type=PATH, help="Output file; by default DATA.md in the cache.")
def card(workspace: "Workspace", out: Path | None) -> None:
    """Write a data card: the counts, and headings for you to fill in."""
    from nielsgpt.config.load import difference
    from nielsgpt.config.settings import PHASES, Settings
    from nielsgpt.data import availability
    from nielsgpt.data.cache import inventory
    from nielsgpt.report import cache_report
    from nielsgpt.system.atomic_files import write_text

    settings = workspace.settings
    found = list(inventory.list_splits(_folders(workspace), settings.model.context_length))
    shares: dict[tuple[str, str], float] = {
        (phase, name): share for phase in PHASES for name, share in settings.mix(phase).items()
    }
    names = dict.fromkeys(str(holding.meta["source"]) for holding in found)
    origins = {name: availability.describe_origin(settings, name) for name in names}
    kept = {"seed", "tokenizer", "data"}
    tree, plain = (one.model_dump(mode="json", include=kept) for one in (settings, Settings()))
    over = difference(tree, plain)
    path = out or workspace.cache / "DATA.md"
    write_text(path, cache_report.format_card(settings.name, found, shares, origins, over))
    click.echo(path)


def _with(
    workspace: "Workspace",
    seed: int | None = None,
    roam_dir: str | None = None,
    fineweb_train_tokens: int | None = None,
    fineweb_val_tokens: int | None = None,
    **data: Any,
) -> "Workspace":
    """The workspace with the options applied."""
    web = {"train_tokens": fineweb_train_tokens, "val_tokens": fineweb_val_tokens}
    trees = {**data, "roam": _given(path=roam_dir), "fineweb_edu": _given(**web)}
    return resettled(workspace, _given(seed=seed) | {"data": _given(**trees)})


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _folders(workspace: "Workspace") -> "dict[str, Path]":
    """The folder of each phase's splits. Raises DataError if there is none."""
    from nielsgpt.config.settings import PHASES
    from nielsgpt.data.cache import inventory
    from nielsgpt.errors import DataError

    folders: dict[str, Path] = {phase: workspace.splits(phase) for phase in PHASES}
    if not any(map(inventory.list_names, folders.values())):
        raise DataError(f"no caches in {workspace.cache}; make them with 'nielsgpt caches'")
    return folders
