"""nielsgpt ancients: download ancient texts from Project Gutenberg, show what is there."""

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
@click.option("--count-only", is_flag=True, help="Say how many books there are; download none.")
@click.option("--author-year-end", type=int, help="Latest year in which an author died.")
@click.option("--languages", help="Separated by commas.")
@click.option("--delay-seconds", type=click.FloatRange(0), help="Between requests.")
@click.option("--limit", type=click.IntRange(1), help="The number of books, most popular first.")
def download(workspace: "Workspace", count_only: bool, limit: int | None, **chosen: Any) -> None:
    """Fetch the catalogue and the books that are missing. Safe to repeat.

    Options go over data.ancients; give a training run the same ones with --set.
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
    """List the books that are there, with the words that cleaning leaves of each."""
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
