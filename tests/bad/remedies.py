"""Doing literally what a message says: the same message must not come again."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.bad.running import run

COMMAND = re.compile(r"'nielsgpt ((?:[^'\\]|\\.)+?)'(?=$|[ ,;.)])(?! lists)")
DELETE = re.compile(r"delete (its folder|the folder|it|[\w./-]+)\b")
OPTION = re.compile(
    r"(?<![\w'])(--[a-z-]+(?: [a-z_.]+=[^\s,;]+| \d[\d.]*)?)(?=[,;]|$| (?:or|to|trains|and)\b)"
)
# To fill in, or to look at, or minutes of training with the settings that nielsgpt ships.
OTHER = re.compile(r"\b[A-Z]{3,}\b|--help|^(pipeline|pretrain|sft)(?!.*tiny\.json)|download")
MOST = 4  # messages in a row


def remedies(line: str) -> Iterator[tuple[str, str]]:
    """The first way out of each kind that the line names: delete, run, add."""
    told = line.partition("; ")[2] or line
    if found := DELETE.search(told):
        named = found[1]
        paths = [word.strip(":'") for word in re.findall(r"[\w.-]+(?:/[\w.-]+)+", line)]
        path = Path(named if named not in ("it", "the folder", "its folder") else paths[0])
        yield "delete", str(path.parent if "folder" in named and not path.is_dir() else path)
    commands = [words for words in COMMAND.findall(told) if not OTHER.search(words)]
    if commands:
        yield "run", commands[0]
    elif found := OPTION.search(told):
        yield "add", found[1]


def follow(line: str, words: str) -> str:
    """Do what the line says; returns the command to try again."""
    for kind, what in remedies(line):
        if kind == "delete":
            shutil.rmtree(what) if Path(what).is_dir() else Path(what).unlink()
        elif kind == "run":
            ran = run(what)
            assert ran.code == 0 or ran.lines[-1] != line, f"{what}: {ran.lines[-1:]}"
        else:
            words = f"{words} {what}"
    return words


def follow_all(line: str, words: str, typed: bytes) -> None:
    """Do what the messages say until none is left that names a command, an option or a file to
    delete; fails where one comes twice."""
    met = set[str]()
    while line and list(remedies(line)):
        assert line not in met, f"{words}: {line}"
        met.add(line)
        assert len(met) <= MOST, met
        words = follow(line, words)
        ran = run(words, typed)
        line = ran.lines[-1].removeprefix("error: ") if ran.code else ""
