"""nielsgpt micro check, bpe and figures: the commands of docs/learn."""

from pathlib import Path

import click

from cli.options import PATH, root

TIMEOUT_S = 30.0
TOKENIZER = Path("models") / "micro" / "bpe.json"


def tokenizer_path(chosen: Path | None) -> Path:
    """The default path of the tokenizer."""
    return chosen or root() / TOKENIZER


@click.command("check")
@click.argument("exercise", required=False)
@click.option("--start", is_flag=True, help="Write a file to start from.")
@click.option("--file", type=PATH, help="File with your answer.  [default: learn/<exercise>.py]")
@click.option(
    "--timeout", "timeout_s", default=TIMEOUT_S, show_default=True, help="Time limit in seconds."
)
@click.pass_context
def check(
    ctx: click.Context, exercise: str | None, start: bool, file: Path | None, timeout_s: float
) -> None:
    """Check your answer to an exercise of docs/learn; without EXERCISE, list them all."""
    from nielsgpt.micro import checking

    if exercise is None:
        for name, each in checking.EXERCISES.items():
            click.echo(f"{name:5} {each.function:20} {each.page}")
        return
    path = file or checking.default_path(exercise)
    if start:
        checking.start(exercise, path)
        click.echo(f"wrote {path}; check it with: nielsgpt micro check {exercise}")
        return
    wrong = checking.check(exercise, path, timeout_s)
    click.echo(wrong or "right")
    ctx.exit(1 if wrong else 0)


@click.group("bpe")
def bpe() -> None:
    """Train and use the tokenizer of docs/learn/5-bpe.md."""


@bpe.command("train")
@click.argument("texts", nargs=-1, required=True, type=PATH)
@click.option(
    "--vocab-size",
    default=1256,
    show_default=True,
    help="Vocabulary size: 256 bytes, the merges and special tokens.",
)
@click.option("--special", "specials", multiple=True, help="A special token; may be repeated.")
@click.option("--ties", type=click.Choice(["greatest", "lowest"]), default="greatest")
@click.option("--out", "-o", type=PATH, help=f"Output file.  [default: {TOKENIZER}]")
def bpe_train(
    texts: tuple[Path, ...], vocab_size: int, specials: tuple[str, ...], ties: str, out: Path | None
) -> None:
    """Train a tokenizer on text files."""
    from nielsgpt.micro import bpe
    from nielsgpt.micro.files import read_text

    read = [read_text(path, "name a text file") for path in texts]
    trained = bpe.train(read, vocab_size, specials, ties)
    path = tokenizer_path(out)
    trained.save(path)
    ids = sum(len(trained.encode(text)) for text in read)
    size = sum(len(text.encode()) for text in read)
    click.echo(f"wrote {path}: {len(trained.pieces)} tokens, {size / max(ids, 1):.2f} bytes each")


@bpe.command("encode")
@click.argument("text")
@click.option("--model", "-m", type=PATH, help=f"Tokenizer file.  [default: {TOKENIZER}]")
@click.option("--specials", is_flag=True, help="Encode special tokens in the text as such.")
@click.option("--pieces", is_flag=True, help="Print the pieces instead of the ids.")
def bpe_encode(text: str, model: Path | None, specials: bool, pieces: bool) -> None:
    """Print the ids of a text."""
    from nielsgpt.micro import bpe

    trained = bpe.load(tokenizer_path(model))
    ids = trained.encode(text, specials)
    click.echo(" ".join(str(trained.pieces[token] if pieces else token) for token in ids))


@bpe.command("decode")
@click.argument("ids", nargs=-1, type=int)
@click.option("--model", "-m", type=PATH, help=f"Tokenizer file.  [default: {TOKENIZER}]")
def bpe_decode(ids: tuple[int, ...], model: Path | None) -> None:
    """Print the text of the ids."""
    from nielsgpt.micro import bpe

    click.echo(bpe.load(tokenizer_path(model)).decode(ids))


@click.command("figures")
@click.option(
    "--scenario", "-s", default="names", show_default=True, help="Name of a shipped scenario."
)
@click.option("--steps", default=300, show_default=True, help="Documents for the loss curves.")
@click.option("--out", type=PATH, default=Path("docs/learn/figures"), show_default=True)
def figures(scenario: str, steps: int, out: Path) -> None:
    """Draw the figures of docs/learn with the scenario's trained model."""
    from nielsgpt.micro import figures, scenarios

    for path in figures.draw(root(), scenarios.load(scenario), steps, out):
        click.echo(f"wrote {path}")
