"""nielsgpt sources: list and check the sources of data."""

from typing import TYPE_CHECKING

import click

from cli import terminal
from cli.options import with_workspace

if TYPE_CHECKING:
    from nielsgpt.config.settings import Phase
    from nielsgpt.system.workspace import Workspace

SAMPLES = 2
PREVIEW = 72


@click.group("sources", invoke_without_command=True)
@with_workspace
def command(workspace: "Workspace") -> None:
    """List every source: its share of the mix, its origin, and whether it is on disk."""
    if click.get_current_context().invoked_subcommand is None:
        from nielsgpt.data.availability import describe_origin, describe_state
        from nielsgpt.data.catalog import SOURCES
        from nielsgpt.format import align_columns

        rows = [["phase", "source", "share", "from", "state"]]
        for phase, table in SOURCES.items():
            mix = workspace.settings.mix(phase)
            for name in table:
                share = f"{mix[name]:.3g}" if name in mix else "-"
                told = (
                    describe_origin(workspace.settings, name),
                    describe_state(workspace, phase, name),
                )
                rows.append([phase, name, share, *told])
        click.echo(align_columns(rows))


@command.command("check")
@with_workspace
@click.argument("names", metavar="[NAME]...", nargs=-1)
def check(workspace: "Workspace", names: tuple[str, ...]) -> None:
    """Load two samples of each source; exits 1 if one fails.

    Without NAME, checks the sources of the mixes and all that come from the Hub.
    """
    from nielsgpt.data.availability import preview
    from nielsgpt.errors import NielsError, RunError
    from nielsgpt.format import align_columns

    rows = []
    for phase, name in _chosen(workspace, names):
        click.echo(f"{phase} {name}")
        try:
            for text in preview(workspace.settings, phase, name, workspace.root, SAMPLES):
                terminal.write(f"    {' '.join(text.split())[:PREVIEW]}\n")
            rows.append([name, "PASS", ""])
        except NielsError as error:
            rows.append([name, "FAIL", str(error)])
    click.echo(f"\n{align_columns(rows)}")
    failed = [row[0] for row in rows if row[1] == "FAIL"]
    if failed:
        raise RunError(f"{len(failed)} of {len(rows)} sources failed: {', '.join(failed)}")


def _chosen(workspace: "Workspace", names: tuple[str, ...]) -> list[tuple["Phase", str]]:
    """The sources of these names, in both phases. Raises a click error for an unknown one."""
    from nielsgpt.config.source_settings import HubSettings
    from nielsgpt.data.catalog import SOURCES

    every = [(phase, name) for phase, table in SOURCES.items() for name in table]
    known = sorted({name for _, name in every})
    for name in names:
        if name not in known:
            raise click.UsageError(f"there is no source {name!r}; sources are {', '.join(known)}")
    wanted = {name for name, of in workspace.settings.data if isinstance(of, HubSettings)}
    return [
        (phase, name)
        for phase, name in every
        if name in (names or wanted | set(workspace.settings.mix(phase)))
    ]
