"""nielsgpt new."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cli.options import root

Asked = dict[str, Any]
SUFFIXES = {"text": (".txt", ".md"), "chat": (".jsonl", ".json")}
QUESTIONS = {
    "character": "Who is it",
    "text": "Your documents: a .txt or .md file, or a folder of them",
    "chat": "Your conversations: a .jsonl or .json file, or a folder of them",
    "hours": "Hours to train",
}
MIXES = {"text": "mix_pretrain", "chat": "mix_sft"}


@click.command("new")
@click.argument("name", required=False)
@click.option("--character", help='Who it is, such as "a patient gardener".')
@click.option(
    "--manner",
    type=click.Choice(["terse", "warm", "formal"]),
    default="terse",
    help="How it talks.",
)
@click.option("--text", metavar="PATH", help="Your documents: a .txt or .md file or a folder.")
@click.option(
    "--chat", metavar="PATH", help="Your conversations: a .jsonl or .json file or a folder."
)
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="Hours of training.")
def command(name: str | None, manner: str, **given: Any) -> None:
    """Start a model of your own: write NAME.json, personas/NAME.json and folders for its text.

    At a terminal you are asked for what the options leave out; elsewhere it takes its default.
    A path that you give must exist; the default folders are made.
    Existing files are never overwritten.
    """
    from nielsgpt.config.load import validate
    from nielsgpt.system.atomic_files import write_json

    if name is None:
        if not _at_terminal():
            raise click.UsageError("Missing argument 'NAME'")
        name = str(click.prompt("Name of the model"))
    validate({"name": name}, "NAME")
    config, persona = root() / f"{name}.json", root() / "personas" / f"{name}.json"
    for file in (config, persona):
        if file.exists():
            raise click.UsageError(f"{file} already exists; choose another NAME")
    asked = _ask(name, given)
    for source in ("text", "chat"):
        place = root() / asked[source]
        if not place.exists():
            place.mkdir(parents=True)
    about = " ".join(asked["character"].split())
    persona.parent.mkdir(exist_ok=True)
    write_json(persona, {"name": name, "about": about, "manner": manner, "facts": []})
    write_json(config, _config(asked, name))
    click.echo(f"wrote {config} and {persona}; add the persona's facts to the second file")
    _show(asked, config)
    click.echo(f"next:\n  nielsgpt sources --config {config}")
    click.echo(f"  nielsgpt pipeline --config {config} --hours {asked['hours']:g}")


def _ask(name: str, given: Asked) -> Asked:
    """Every answer: as an option gives it, as a person types it, or the default."""
    asked: Asked = {
        "character": "a helpful companion",
        "text": f"data/{name}/text",
        "chat": f"data/{name}/chat",
        "hours": 8.0,
    }
    for key, default in asked.items():
        if given[key] is not None:
            asked[key] = CHECKS[key](given[key])
        elif _at_terminal():
            asked[key] = _prompt(key, default)
    return asked


def _prompt(key: str, default: Any) -> Any:
    """The answer to a question, which is asked until the answer is valid; Enter is the default."""

    def convert(typed: Any) -> Any:
        return default if typed == default else CHECKS[key](typed)

    empty = f" (Enter: an empty folder {default})" if key in SUFFIXES else ""
    question = f"{QUESTIONS[key]}{empty}"
    return click.prompt(question, default, show_default=not empty, value_proc=convert)


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _check_place(given: str) -> str:
    """The path, with `~` expanded. A path that is not there is more likely a typing error."""
    path = Path(given).expanduser()
    if not (root() / path).exists():
        raise click.UsageError(f"{path} is not there; name a file or folder that exists")
    return str(path)


def _check_hours(given: str | float) -> float:
    """The hours. Raises UsageError unless they are a number above 0."""
    try:
        hours = float(given)
    except ValueError:
        hours = 0.0
    if not 0 < hours < math.inf:
        raise click.UsageError(f"{given} is not a number of hours above 0, such as 8 or 0.5")
    return hours


def _config(asked: Asked, name: str) -> Asked:
    """The settings: shares as in configs/mine.json, of the folders that have something in them."""
    here = [source for source in SUFFIXES if _files(asked, source)]
    shares = {
        mix: _shares(source) if source in here else {"primer": 1.0} for source, mix in MIXES.items()
    }
    return {
        "extends": "mine.json" if "text" in here else "quickstart.json",
        "name": name,
        "data": {
            "primer": {"persona": f"personas/{name}.json"},
            "text": {"path": asked["text"]},
            "chat": {"path": asked["chat"]},
            **shares,
        },
    }


def _shares(source: str) -> dict[str, float]:
    """The shares that configs/mine.json gives a person's own source and the primer."""
    from nielsgpt.system.atomic_files import read_json
    from nielsgpt.system.workspace import REPOSITORY

    shares: dict[str, float] = read_json(REPOSITORY / "configs/mine.json")["data"][MIXES[source]]
    return shares


def _files(asked: Asked, source: str) -> list[Path]:
    from nielsgpt.data.sources.files import find_files
    from nielsgpt.errors import DataError

    try:
        return find_files(root() / asked[source], SUFFIXES[source], f"data.{source}.path")
    except DataError:
        return []


def _show(asked: Asked, config: Path) -> None:
    """The files and bytes of each folder, and the next step for an empty one."""
    for source, mix in MIXES.items():
        found = _files(asked, source)
        size = sum(file.stat().st_size for file in found)
        told = f"{len(found)} file{'' if len(found) == 1 else 's'}, {size:,} bytes"
        if not found:
            shares = json.dumps(_shares(source))
            told = f"empty; after adding files, put {shares} into data.{mix} of {config.name}"
        click.echo(f"  {source}  {asked[source]}: {told}")
    click.echo("  primer  stories and conversations generated from the persona")


CHECKS: dict[str, Callable[[Any], Any]] = {
    "character": str,
    "text": _check_place,
    "chat": _check_place,
    "hours": _check_hours,
}
