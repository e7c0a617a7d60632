"""nielsgpt ancients: download ancient texts from Project Gutenberg and list them."""

from typing import TYPE_CHECKING, Any

import click

from cli.options import resettled, with_workspace

if TYPE_CHECKING:
    from nielsgpt.system.workspace import Workspace


@click.group("ancients")
def command() -> None:
    """Books by the authors of antiquity, for the sources `ancients` and `ancient_mix`."""


@command.command("download")
@with_workspace
@click.option(
    "--count-only", is_flag=True, help="Print the number of matching books; download nothing."
)
@click.option("--author-year-end", type=int, help="Latest year of death of an author.")
@click.option("--languages", help="Languages, separated by commas.")
@click.option("--delay-seconds", type=click.FloatRange(0), help="Seconds between requests.")
@click.option(
    "--limit", type=click.IntRange(1), help="Maximum number of books, most popular first."
)
def download(workspace: "Workspace", count_only: bool, limit: int | None, **chosen: Any) -> None:
    """Download the catalog and the missing books. Safe to repeat.

    The options override data.ancients; use the same values with --set for a training run.
    """
    from nielsgpt.data.sources import ancients, gutendex
    from nielsgpt.data.sources.http import RetryPolicy

    over = {name: value for name, value in chosen.items() if value is not None}
    workspace = resettled(workspace, {"data": {"ancients": over}})
    asked = workspace.settings.data.ancients
    folder = workspace.root / asked.path
    if count_only:
        found = gutendex.select_books(asked, RetryPolicy(), "run the same command again later")
        click.echo(f"{len(found[:limit])} books")
    else:
        count = ancients.download_books(folder, asked, RetryPolicy(), limit)
        click.echo(f"{count} books in {folder}; see them with 'nielsgpt ancients show'")


@command.command("show")
@with_workspace
def show(workspace: "Workspace") -> None:
    """List the downloaded books with their number of words after cleaning."""
    from nielsgpt.data.sources import ancients
    from nielsgpt.format import align_columns

    asked = workspace.settings.data.ancients
    rows, total = [], 0
    for book in ancients.read_manifest(workspace.root / asked.path, asked):
        words = len(ancients.read_prose(book).split())
        total += words
        rows.append([f"{words:,}", book.title[:60], book.authors[:40]])
    click.echo(
        align_columns(
            [["words", "title", "authors"], *rows, [f"{total:,}", f"{len(rows)} books", ""]]
        )
    )
