"""The commands that a message names, made to do what they say with the settings in force.

A message names 'nielsgpt caches'; where this command was given --config and --set, so must that one
be, or it would work on another model.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise

import click

QUOTED = re.compile(r"'nielsgpt ([a-z]+)([^'\n]*)'(?! lists)")
GIVEN = ("--config", "-c", "--set", "--device")


def complete(text: str, words: Sequence[str]) -> str:
    """The message, each quoted command of it with the --config, --set and --device of `words`."""
    given = list(_given(words))
    if not given:
        return text

    def completed(found: re.Match[str]) -> str:
        command, rest = found.groups()
        own = _split(rest)
        taken = set(map(_key, _given(own)))
        if "--help" in own or "--config" in taken or not _takes_settings(command, own):
            return found.group()
        more = [shlex.join(pair) for pair in given if _key(pair) not in taken]
        return "'" + " ".join(["nielsgpt", command + rest, *more]) + "'"

    return QUOTED.sub(completed, text)


def _given(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options of `words` that choose the settings, each with its value."""
    for word, after in pairwise([*words, ""]):
        name, sign, value = word.partition("=")
        if name in GIVEN:
            yield ("-c" if name == "--config" else name), (value if sign else after)


def _key(pair: tuple[str, str]) -> str:
    """The thing that an option chooses: a file, a device, or the setting that it names."""
    option, value = pair
    return {"-c": "--config", "--set": value.partition("=")[0]}.get(option, option)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _takes_settings(command: str, words: Sequence[str]) -> bool:
    from cli.main import nielsgpt

    with click.Context(nielsgpt) as context:
        found = nielsgpt.get_command(context, command)
        for word in words:
            if not isinstance(found, click.Group) or word not in found.commands:
                break
            found = found.commands[word]
    return found is not None and any(option.name == "config" for option in found.params)
