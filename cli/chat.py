"""nielsgpt chat."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.generation import told, with_generation
from cli.options import with_workspace

if TYPE_CHECKING:
    from nielsgpt.settings import GenerationSettings
    from nielsgpt.workspace import Workspace

# A model may say any byte, and a terminal obeys some of them.
CONTROLS = dict.fromkeys(c for c in (*range(32), *range(127, 160)) if chr(c) not in "\n\t")


@click.command("chat")
@with_workspace
@with_generation
@click.option("--ckpt", type=click.Path(path_type=Path), help="Talk with this checkpoint.")
@click.option("--system", help="The system prompt.")
@click.option("--system-file", type=click.Path(path_type=Path), help="A file that holds it.")
@click.option("--once", is_flag=True, help="Reply once, to all of standard input.")
def command(
    work: "Workspace",
    generation: "GenerationSettings",
    ckpt: Path | None,
    system: str | None,
    system_file: Path | None,
    once: bool,
) -> None:
    """Talk with the model. In a pipe, each line is a turn."""
    from cli.repl import answer, converse
    from nielsgpt.inference.session import Session, system_prompt
    from nielsgpt.opening import open_model
    from nielsgpt.workspace import REPOSITORY

    shipped = REPOSITORY / "configs" / "system_surly.txt"
    prompt = system_prompt(system_file, system, shipped)
    model, tokenizer, which = open_model(work, ckpt)
    session = Session(model, tokenizer, generation, prompt)
    patient = sys.stdin.isatty() and sys.stdout.isatty() and not once
    click.echo(f"{which}; {told(generation)}{'; /help for more' if patient else ''}", err=True)
    if once:
        if not (text := sys.stdin.read().strip()):
            raise click.UsageError("--once replies to standard input, and that is empty")
        answer(session, text, _write)
    else:
        converse(session, _ask if patient else _next_line, _write, patient)


def _write(text: str) -> None:
    sys.stdout.write(text.translate(CONTROLS) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def _next_line() -> str | None:
    return sys.stdin.readline() or None


def _ask() -> str | None:
    with suppress(ImportError):
        import readline  # noqa: F401  (makes input() remember and edit lines)
    try:
        return input("> ")
    except EOFError:
        _write("\n")
        return None
