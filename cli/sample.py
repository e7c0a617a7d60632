"""nielsgpt sample."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import terminal
from cli.generation import told, with_generation
from cli.model import with_model

if TYPE_CHECKING:
    from nielsgpt.config.settings import GenerationSettings
    from nielsgpt.system.workspace import Workspace


@click.command("sample")
@with_model("pretrain")
@with_generation
@click.option("--prompt", default="", help="Text to continue; by default, start a new document.")
@click.option("--num-samples", type=click.IntRange(1), default=1, show_default=True)
@click.option("--untrained", is_flag=True, help="Random weights: try a machine without training.")
def command(
    workspace: "Workspace",
    generation: "GenerationSettings",
    prompt: str,
    num_samples: int,
    untrained: bool,
    ckpt: Path | None,
) -> None:
    """Continue a text with the pretrained model."""
    from nielsgpt.inference.generate import stream_continuation
    from nielsgpt.inference.open_model import open_model, open_untrained

    opened = open_untrained(workspace) if untrained else open_model(workspace, ckpt, "pretrain")
    click.echo(f"{opened.line}; {told(generation)}", err=True)
    for index in range(num_samples):
        if num_samples > 1:
            click.echo(f"--- {index + 1}")
        terminal.write(prompt)
        for piece in stream_continuation(opened.model, opened.tokenizer, prompt, generation, index):
            terminal.write(piece)
        terminal.write("\n")
