"""nielsgpt export."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.model import with_model
from cli.options import PATH

if TYPE_CHECKING:
    from nielsgpt.system.workspace import Workspace

DTYPES = {"hf": ("float32", "bfloat16", "float16"), "gguf": ("f32", "f16", "q8_0")}


@click.command("export")
@with_model("sft", argument=True)
@click.option("--to", type=click.Choice(list(DTYPES)), default="hf", show_default=True)
@click.option(
    "--out", type=PATH, help="Output folder, or file for gguf; by default in models/<name>."
)
@click.option("--dtype", help="hf: float32, bfloat16, float16; gguf: f32, f16, q8_0.")
@click.option("--force", is_flag=True, help="Replace the export of another model.")
@click.option("--verify", is_flag=True, help="Compare logits and replies with Transformers.")
def command(
    workspace: "Workspace",
    ckpt: Path | None,
    to: str,
    out: Path | None,
    dtype: str | None,
    force: bool,
    verify: bool,
) -> None:
    """Export the model for Transformers (hf), or for llama.cpp and Ollama (gguf)."""
    chosen = dtype or DTYPES[to][0]
    if chosen not in DTYPES[to]:
        raise click.UsageError(f"--dtype {chosen} is not one of {', '.join(DTYPES[to])}")
    if verify and to != "hf":
        raise click.UsageError("--verify compares with Transformers; use it with --to hf")
    from nielsgpt.export import gguf_file, hf_folder
    from nielsgpt.export.trained import open_trained
    from nielsgpt.export.verify import verify as compared

    trained = open_trained(workspace, ckpt)
    own = workspace.root / "models" / trained.name
    if to == "gguf":
        place = out or own / f"{trained.name}-{chosen}.gguf"
        gguf_file.write(trained, place, chosen, force)
    else:
        place = out or own / "hf"
        hf_folder.write(trained, place, chosen, force)
    click.echo(f"wrote {place}")
    if verify:
        click.echo(str(compared(trained, place)))
