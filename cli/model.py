"""Which model a command opens: one that --config or --ckpt names, else the only one there is."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import PATH, root, settings_options, settle

if TYPE_CHECKING:
    from nielsgpt.config.settings import Phase
    from nielsgpt.system.workspace import Workspace

Command = Callable[..., Any]


def with_model(phase: "Phase", argument: bool = False) -> Callable[[Command], Command]:
    """Give the command its resolved Workspace as the first argument, and as `ckpt` the file of this
    phase's weights, or None where nothing but the settings says which.

    It is named with --ckpt or, as an `argument`, without a word before it.
    """
    named = click.option("--ckpt", type=PATH, help="Checkpoint to open.")
    if argument:
        named = click.argument("ckpt", metavar="[CHECKPOINT]", required=False, type=PATH)

    def decorate(command: Command) -> Command:
        @settings_options
        @named
        @functools.wraps(command)
        def wrapper(
            config: str | None,
            assignments: tuple[str, ...],
            device: str | None,
            ckpt: Path | None,
            **rest: Any,
        ) -> Any:
            context = click.get_current_context()
            naming = context.command_path + ("" if argument else " --ckpt")
            work, path = settle_model(config, assignments, device, ckpt, phase, naming)
            return command(work, ckpt=path, **rest)

        return wrapper

    return decorate


def settle_model(
    config: str | None,
    assignments: tuple[str, ...],
    device: str | None,
    ckpt: Path | None,
    phase: "Phase",
    naming: str,
) -> tuple["Workspace", Path | None]:
    """The workspace, and the weights to open in it where a file is known.

    With a config, or a name set, these decide as everywhere. Without, a checkpoint draws as its own
    settings say; where none is named it is the only one, and several are an error that lists them,
    each with the words `naming` that name it.
    """
    from nielsgpt.checkpoint.select import only_model, own_settings

    if config or any(text.startswith("name=") for text in assignments):
        return settle(config, assignments, device), ckpt
    path = ckpt or only_model(root(), phase, naming)
    own = own_settings(path) if path else {}
    below = tuple(f"{section}={json.dumps(value)}" for section, value in own.items())
    return settle(None, (*below, *assignments), device), path
