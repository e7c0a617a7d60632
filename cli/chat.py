"""nielsgpt chat."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.generation import told, with_generation
from cli.model import with_model
from cli.options import PATH

if TYPE_CHECKING:
    from nielsgpt.config.settings import GenerationSettings
    from nielsgpt.system.workspace import Workspace


@click.command("chat")
@with_model("sft")
@with_generation
@click.option("--system", help="System prompt.")
@click.option("--system-file", type=PATH, help="File with the system prompt.")
@click.option("--once", is_flag=True, help="Read standard input as one message and reply once.")
@click.option("--stats", is_flag=True, help="Print tokens and speed after each reply.")
def command(
    workspace: "Workspace",
    generation: "GenerationSettings",
    ckpt: Path | None,
    system: str | None,
    system_file: Path | None,
    once: bool,
    stats: bool,
) -> None:
    """Chat with the model. In a pipe, each line is a message."""
    from cli.repl import Chat
    from cli.terminal import aside, screen
    from nielsgpt.data.catalog import choose_system_line
    from nielsgpt.inference.open_model import open_model
    from nielsgpt.inference.session import Session, read_system_prompt

    prompt = read_system_prompt(system_file, system)
    if prompt is None:
        prompt = choose_system_line(workspace.settings, workspace.root)
    opened = open_model(workspace, ckpt)
    session = Session(opened.model, opened.tokenizer, generation, prompt)
    here = screen(once)
    chat = Chat(session, here, stats)
    aside(f"{opened.line}; {told(generation)}{'; /help for more' if here.patient else ''}")
    if not once:
        chat.converse()
    elif text := sys.stdin.read().strip():
        chat.answer(text)
    else:
        raise click.UsageError("--once replies to standard input, and that is empty")
