"""nielsgpt import."""

from collections import Counter
from pathlib import Path

import click

from cli.options import PATH, root

NEEDED = ("ftfy", "mammoth", "py3langid", "pypdfium2", "pysubs2", "rensa", "selectolax", "striprtf")


@click.command("import")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
@click.option(
    "--as",
    "assistants",
    multiple=True,
    metavar="NAME",
    help="Person in the chats who becomes the assistant.",
)
@click.option(
    "--column", default="text", show_default=True, help="Text column in CSV, JSON, Parquet."
)
@click.option(
    "--redact/--no-redact", default=None, help="Replace private data with placeholders, or keep it."
)
@click.option(
    "--pause",
    "pause_hours",
    type=click.FloatRange(0, min_open=True),
    help="Hours without a message that end a conversation; by default 6.",
)
@click.option(
    "--timeout",
    "time_s",
    default=120.0,
    show_default=True,
    type=click.FloatRange(1),
    help="Time limit per file in seconds.",
)
def command(
    paths: tuple[Path, ...],
    assistants: tuple[str, ...],
    column: str,
    redact: bool | None,
    pause_hours: float | None,
    time_s: float,
) -> None:
    """Import books, notes, mails and chats into data/raw/.

    PATH is a file, a folder or a ZIP archive. Unchanged files are not read again;
    --as, --redact and --pause are remembered.
    """
    _check_packages()
    from nielsgpt.importers import importing, summary
    from nielsgpt.importers.manifest import Choices

    choices = Choices(assistants, column, redact, pause_hours, time_s)
    result = importing.run(paths, root(), choices, _ask)
    page = summary.write(result, root())
    click.echo(summary.table(result))
    for line in summary.lines(result, root()):
        click.echo(line)
    click.echo(f"report: {page}")


def _check_packages() -> None:
    from importlib.util import find_spec

    from nielsgpt.errors import DataError

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise DataError(
            f"import needs packages that are not installed ({', '.join(missing)}); "
            "install them with: pip install 'nielsgpt[import]'"
        )


def _ask(people: Counter[str]) -> str | None:
    """Who becomes the assistant, asked at a terminal; None elsewhere, and for no answer."""
    import sys

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    names = [name for name, _ in people.most_common(20)]
    for number, name in enumerate(names, start=1):
        click.echo(f"{number:3}  {name} ({people[name]:,} messages)")
    while given := click.prompt(
        "Who becomes the assistant? A number or a name; Enter skips the chats",
        default="",
        show_default=False,
    ).strip():
        if given.isdecimal() and 1 <= int(given) <= len(names):
            return names[int(given) - 1]
        for name in people:
            if name.casefold() == given.casefold():
                return name
        click.echo(f"nobody is called {given!r}")
    return None
