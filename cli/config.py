"""nielsgpt config, and docs/commands.md, made from the commands themselves."""

import json
from typing import TYPE_CHECKING

import click

from cli.options import dotted, with_workspace

if TYPE_CHECKING:
    from nielsgpt.system.workspace import Workspace
HEAD = """# Commands

Made by `nielsgpt config --commands`. `make NAME` runs `nielsgpt NAME` with ARGS, CONFIG and
DEVICE, and `make run ARGS="..."` any other command; `make help` lists the targets. Without
`--config`, every command means `configs/quickstart.json`.

Errors are one line. The exit code is 2 where you can put it right, 1 where a run failed, and 129,
130 or 143 where a signal stopped it after saving. `nielsgpt --debug COMMAND` shows the traceback.
"""


@click.command("config")
@with_workspace
@click.option("--meanings", is_flag=True, help="Print each setting with its meaning.")
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
        from cli.config import command_reference
        from cli.main import nielsgpt

        click.echo(command_reference(nielsgpt), nl=False)
    elif docs:
        click.echo(reference(), nl=False)
    elif meanings:
        values = dotted(workspace.settings)
        for name, meaning in leaves():
            click.echo(f"{name} = {json.dumps(values[name])}  # {meaning}")
    else:
        click.echo(workspace.settings.model_dump_json(indent=2))


def command_reference(group: click.Group) -> str:
    """Every command with its help, its arguments and its options, in Markdown."""
    context = click.Context(group, info_name="nielsgpt")
    lines = [HEAD]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        lines += _section(command, f"nielsgpt {name}", context)
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(command: click.Command, path: str, parent: click.Context) -> list[str]:
    context = click.Context(command, info_name=path.rsplit(" ", 1)[-1], parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    purpose = " ".join((command.help or "").split())
    lines = [f"## {path}", "", "```", f"{path} {usage}", "```", "", purpose, ""]
    options = [p.get_help_record(context) for p in command.params if isinstance(p, click.Option)]
    rows = [record for record in options if record is not None]
    if rows:
        lines += ["| option | meaning |", "|---|---|"]
        lines += [f"| `{_cell(names)}` | {_cell(meaning)} |" for names, meaning in rows]
        lines.append("")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            lines += _section(inner, f"{path} {name}", context)
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
