"""The options that commands share, resolved to one Workspace."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nielsgpt.config.settings import Settings
    from nielsgpt.system.workspace import Workspace


class HomePath(click.Path):
    """A path whose leading ~ is the home folder, where no shell has expanded it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, of the type that was asked for."""
        return super().convert(os.path.expanduser(value), param, ctx)


PATH = HomePath(path_type=Path)
ONE_TEXT = "text"  # the name of configs/text.json
DEFAULT_CONFIG = "quickstart.json"
Command = Callable[..., Any]


def with_workspace(command: Command) -> Command:
    """Give the command its Workspace as the first argument, from --config, --set and --device.

    Without --config the settings are configs/quickstart.json.
    """

    @settings_options
    @functools.wraps(command)
    def wrapper(
        config: str | None, assignments: tuple[str, ...], device: str | None, **rest: Any
    ) -> Any:
        return command(settle(config, assignments, device), **rest)

    return wrapper


def settings_options(command: Command) -> Command:
    """--config, --set and --device, as `config`, `assignments` and `device`."""
    for option in (
        click.option("--device", help="Device: auto, cpu, mps or cuda[:n]."),
        click.option(
            "--set", "assignments", multiple=True, help="Override a setting: section.name=value."
        ),
        click.option(
            "--config",
            "-c",
            type=HomePath(),
            help="JSON file of settings, or the name of one in configs/.",
        ),
    ):
        command = option(command)
    return command


def root() -> Path:
    """The folder of a person's work: NIELSGPT_ROOT, else the current one."""
    return Path(os.path.expanduser(os.environ.get("NIELSGPT_ROOT", ".")))


def settle(
    config: str | None, assignments: tuple[str, ...] = (), device: str | None = None
) -> "Workspace":
    """The workspace under the person's folder with these settings."""
    from nielsgpt.config.load import load
    from nielsgpt.system.workspace import REPOSITORY, Workspace

    over = (*assignments, *((f"device.device={device}",) if device else ()))
    folders = [Path(), REPOSITORY, REPOSITORY / "configs"]
    settings, warnings = load(Path(config or DEFAULT_CONFIG), over, folders)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    return Workspace(root(), settings)


def resettled(workspace: "Workspace", over: dict[str, Any]) -> "Workspace":
    """The same workspace with some settings changed by options."""
    from dataclasses import replace

    from nielsgpt.config.load import override

    return replace(workspace, settings=override(workspace.settings, over, "the command line"))


def one_text(path: str, named: bool) -> dict[str, Any]:
    """The settings of pretraining on one text alone; under a name of its own unless `named`."""
    alone = {"text": {"path": path}, "mix_pretrain": {"text": 1.0}, "mix_sft": {}}
    return {"data": alone} | ({} if named else {"name": ONE_TEXT})


def resume_options(command: Command) -> Command:
    """--resume PATH and --no-resume, as one Resume."""

    @click.option("--resume", type=PATH, help="Checkpoint to resume from.")
    @click.option("--no-resume", is_flag=True, help="Start from scratch; old files are set aside.")
    @functools.wraps(command)
    def chosen(*args: Any, resume: Path | None, no_resume: bool, **rest: Any) -> Any:
        from nielsgpt.training.run import Resume

        if resume is not None and no_resume:
            raise click.UsageError("--resume and --no-resume contradict each other")
        return command(*args, resume=Resume(resume, no_resume), **rest)

    return chosen


def dotted(settings: "Settings") -> dict[str, Any]:
    """The resolved configuration as dotted names and values."""

    def walk(tree: dict[str, Any], prefix: str) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for key, value in tree.items():
            inner = isinstance(value, dict) and not key.startswith("mix_")
            flat |= walk(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
        return flat

    return walk(settings.model_dump(mode="json"), "")
