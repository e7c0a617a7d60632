"""nielsgpt checkpoint: inspect a checkpoint."""

import json
from pathlib import Path

import click

from cli.options import PATH


@click.group("checkpoint")
def command() -> None:
    """Inspect a checkpoint."""


@command.command("hash")
@click.argument("paths", nargs=-1, required=True, type=PATH)
def print_hash(paths: tuple[Path, ...]) -> None:
    """Print a hash of the weights."""
    from nielsgpt.checkpoint import checkpoint_file

    for path in paths:
        weights = checkpoint_file.kept_weights(checkpoint_file.load(path, "weights"))
        click.echo(f"{checkpoint_file.weights_sha256(weights)}  {path}")


@command.command("show")
@click.argument("path", type=PATH)
def show(path: Path) -> None:
    """Verify a checkpoint and print its metadata."""
    from nielsgpt.checkpoint import checkpoint_file

    click.echo(json.dumps(checkpoint_file.load(path, "facts")["facts"], indent=2, sort_keys=True))
