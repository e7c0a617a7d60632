"""The sampling options of chat and sample, which override the settings."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nielsgpt.config.settings import GenerationSettings
    from nielsgpt.inference.session import Session
    from nielsgpt.system.workspace import Workspace

Command = Callable[..., Any]
FLAGS = ("temperature", "top_k", "top_p", "max_new_tokens", "seed")
ENDS = {
    "stop": "ended by itself",
    "length": "cut at the longest length",
    "interrupted": "stopped",
}


def with_generation(command: Command) -> Command:
    """Give the command `generation`: the workspace's settings and, over them, its flags.

    Stands below `with_workspace` or `with_model`, whose Workspace is the first argument.
    """

    @click.option("--temperature", type=float, help="Sampling temperature; 0 is greedy.")
    @click.option("--top-k", type=int, help="Sample from the k most likely tokens; 0 is off.")
    @click.option(
        "--top-p", type=float, help="Sample from the smallest set with this probability; 1 is off."
    )
    @click.option("--max-new-tokens", type=int, help="Maximum length of a reply in tokens.")
    @click.option("--seed", type=int, help="Random seed for sampling.")
    @functools.wraps(command)
    def wrapper(workspace: "Workspace", **rest: Any) -> Any:
        flags = {name: rest.pop(name) for name in FLAGS}
        return command(workspace, generation=_settle(workspace, flags), **rest)

    return wrapper


def told(generation: "GenerationSettings") -> str:
    """The settings that matter, in one line."""
    if generation.temperature == 0.0:
        return f"greedy, at most {generation.max_new_tokens} tokens"
    return (
        f"temperature {generation.temperature:g}, top-k {generation.top_k}, "
        f"top-p {generation.top_p:g}, at most {generation.max_new_tokens} tokens, "
        f"seed {generation.seed}"
    )


def spent(session: "Session") -> str:
    """One line: the cost of the newest reply, and how full the context is."""
    if (last := session.last) is None:
        return f"no reply yet; {fullness(session)}"
    first = "" if last.first_s is None else f", first after {last.first_s:.2f} s"
    return (
        f"{last.tokens} tokens at {last.tokens_per_s:.0f}/s{first}, "
        f"{ENDS[last.finish_reason]}; {fullness(session)}"
    )


def fullness(session: "Session") -> str:
    """How many tokens of the conversation the model sees, of how many it could."""
    return "context {} of {}".format(*session.context_tokens)


def _settle(workspace: "Workspace", flags: dict[str, Any]) -> "GenerationSettings":
    from nielsgpt.config.load import override

    given = {name: value for name, value in flags.items() if value is not None}
    return override(workspace.settings, {"generation": given}, "the options").generation
