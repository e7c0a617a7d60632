"""nielsgpt config."""

import json
from typing import TYPE_CHECKING

import click

from cli.options import dotted, with_workspace

if TYPE_CHECKING:
    from nielsgpt.system.workspace import Workspace


@click.command("config")
@with_workspace
@click.option("--meanings", is_flag=True, help="List every setting with its meaning.")
@click.option("--docs", is_flag=True, help="Print docs/settings.md.")
@click.option("--commands", is_flag=True, help="Print docs/commands.md.")
@click.option("--audit", is_flag=True, help="Check that the code uses every setting.")
def command(
    workspace: "Workspace", meanings: bool, docs: bool, commands: bool, audit: bool
) -> None:
    """Print the resolved configuration as JSON."""
    from nielsgpt.config.load import leaves, reference
    from nielsgpt.system import settings_audit as auditing

    if audit:
        faults = list(auditing.faults(files := auditing.files()))
        for fault in faults:
            click.echo(fault, err=True)
        if faults:
            raise click.exceptions.Exit(1)
        click.echo(f"OK {len(files)} files scanned")
    elif commands:
        from cli.main import nielsgpt
        from cli.reference import command_reference

        click.echo(command_reference(nielsgpt), nl=False)
    elif docs:
        click.echo(reference(), nl=False)
    elif meanings:
        values = dotted(workspace.settings)
        for name, meaning in leaves():
            click.echo(f"{name} = {json.dumps(values[name])}  # {meaning}")
    else:
        click.echo(workspace.settings.model_dump_json(indent=2))
