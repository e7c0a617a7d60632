"""nielsgpt new."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from cli.options import root

Asked = dict[str, Any]
SUFFIXES = {"text": (".txt", ".md"), "chat": (".jsonl", ".json")}
MIXES = {"text": "mix_pretrain", "chat": "mix_sft"}


@click.command("new")
@click.argument("name")
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
def command(name: str, manner: str, **given: Any) -> None:
    """Start a model of your own: write NAME.json, personas/NAME.json and folders for its text.

    At a terminal you are asked for what the options leave out; elsewhere it takes its default.
    Existing files are never overwritten.
    """
    from nielsgpt.config.load import validate
    from nielsgpt.system.atomic_files import write_json

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
    questions = {
        "character": ("Who is it", "a helpful companion"),
        "text": ("Where are your documents", f"data/{name}/text"),
        "chat": ("Where are your conversations", f"data/{name}/chat"),
        "hours": ("Hours to train", 8.0),
    }
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    asked: Asked = {}
    for key, (question, default) in questions.items():
        value = given[key]
        if value is None:
            value = click.prompt(question, default=default) if at_terminal else default
        asked[key] = str(Path(value).expanduser()) if key in ("text", "chat") else value
    return asked


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
        told = f"{len(found)} files, {size:,} bytes"
        if not found:
            shares = json.dumps(_shares(source))
            told = f"empty; after adding files, put {shares} into data.{mix} of {config.name}"
        click.echo(f"  {source}  {asked[source]}: {told}")
    click.echo("  primer  stories and conversations generated from the persona")
