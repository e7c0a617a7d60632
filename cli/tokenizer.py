"""nielsgpt tokenizer: train it, report on it, try it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import terminal
from cli.options import PATH, one_text, resettled, with_workspace

if TYPE_CHECKING:
    from nielsgpt.system.workspace import Workspace

KINDS = ("byte", "char", "word", "bpe", "sentencepiece")
COUNT = click.IntRange(0)


@click.group("tokenizer", invoke_without_command=True)
@with_workspace
@click.option("--file", type=PATH, help="Train it on this text alone: a file or a folder.")
@click.option("--seed", type=COUNT, help="seed")
@click.option("--out", type=PATH, help="Put a copy of it into this folder.")
@click.option("--kind", type=click.Choice(KINDS), help="tokenizer.kind")
@click.option("--vocab-size", type=int, help="tokenizer.vocab_size")
@click.option("--algorithm", type=click.Choice(["bpe", "unigram"]), help="tokenizer.algorithm")
@click.option("--input-glob", "input_globs", multiple=True, help="tokenizer.input_globs")
@click.option("--include-wikitext", is_flag=True, default=None, help="tokenizer.include_wikitext")
@click.option("--fineweb-bytes", type=COUNT, help="tokenizer.fineweb_bytes")
def command(
    workspace: "Workspace", file: Path | None, seed: int | None, out: Path | None, **over: Any
) -> None:
    """Train the tokenizer on the configured text, unless it is up to date.

    A tokenizer that a model was trained with is never replaced, because the model would break.

    The options override the settings of the same name for this command only; put lasting changes
    into your config.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        from nielsgpt.data import availability
        from nielsgpt.pipeline import train_tokenizer
        from nielsgpt.tokenizers import registry

        chosen = {name: value for name, value in over.items() if value not in (None, ())}
        tree: dict[str, Any] = {"tokenizer": chosen} | ({} if seed is None else {"seed": seed})
        if file is not None:
            tree |= one_text(str(file), named=context.params["config"] is not None)
        workspace = availability.drop_unreadable(resettled(workspace, tree))
        train_tokenizer.check_unused(workspace)
        made = train_tokenizer.train(workspace)
        if out is not None:
            registry.save(made, out, {"made_from": None, "trained_on": {}})
            click.echo(out)
    elif any(value not in (None, ()) for value in context.params.values()):
        raise click.UsageError(f"options go after the word {context.invoked_subcommand}")


@command.command("report")
@with_workspace
@click.option("--text-file", "paths", multiple=True, type=PATH, help="Measure on this file.")
@click.option("--wikitext", is_flag=True, help="Measure on WikiText's validation split.")
@click.option("--wikitext-bytes", type=COUNT, help="Limit WikiText to this many bytes.")
@click.option("--fineweb-bytes", type=COUNT, help="Measure on this many bytes of FineWeb-Edu.")
def report(
    workspace: "Workspace",
    paths: tuple[Path, ...],
    wikitext: bool,
    wikitext_bytes: int | None,
    fineweb_bytes: int | None,
) -> None:
    """Measure how well the tokenizer compresses a text; by default, the validation text."""
    from nielsgpt.data import availability
    from nielsgpt.pipeline import train_tokenizer
    from nielsgpt.report import tokenizer_report

    wanted = {"wikitext": wikitext_bytes, "fineweb_edu": fineweb_bytes}
    if wikitext and wikitext_bytes is None:
        wanted["wikitext"] = train_tokenizer.REPORTED
    hub = {name: most for name, most in wanted.items() if most}
    if not hub and not paths:
        workspace = availability.drop_unreadable(workspace)
    found, folder = train_tokenizer.report(workspace, list(paths), hub)
    click.echo("\n".join(tokenizer_report.format_report(found)))
    for path in (folder / "report.json", folder / "report.png"):
        if path.is_file():
            click.echo(path)


@command.command("encode")
@with_workspace
@click.argument("text")
def encode(workspace: "Workspace", text: str) -> None:
    """Print the id and the piece of each token in TEXT."""
    from nielsgpt.report.tokenizer_report import format_token
    from nielsgpt.tokenizers import registry

    tokenizer = registry.load(workspace.tokenizer)
    for token in tokenizer.encode(text):
        click.echo(f"{token:>8}  {format_token(tokenizer, token)}")


@command.command("decode")
@with_workspace
@click.argument("ids", type=int, nargs=-1, required=True)
def decode(workspace: "Workspace", ids: tuple[int, ...]) -> None:
    """Print the text of the IDS, without special tokens."""
    from nielsgpt.tokenizers import registry

    terminal.write(f"{registry.load(workspace.tokenizer).decode(ids)}\n")
