"""The settings against the code: every knob is read somewhere, and no number is written twice."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from nielsgpt.config.load import leaves
from nielsgpt.system.workspace import REPOSITORY

OF_SETTINGS = {"config"}
MICRO, PRIMER = "micro", "primer"  # a house of its own; generators that count sentences
CHOSEN = ("mix_pretrain", "mix_sft")  # by name, in Settings.mix and Settings.phase


def files() -> list[Path]:
    """The files that are scanned: all but those that define the settings."""
    found = [path for room in ("nielsgpt", "cli") for path in (REPOSITORY / room).rglob("*.py")]
    return sorted(path for path in found if OF_SETTINGS.isdisjoint(_rooms(path)))


def faults(paths: Iterable[Path]) -> Iterator[str]:
    """A line for each setting that nothing reads, and for each number beside one in the settings:
    a default of a parameter of its name."""
    names = {name.rsplit(".", 1)[-1] for name, _ in leaves()}
    read = set(CHOSEN)
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if {MICRO, PRIMER}.isdisjoint(_rooms(path)):
            for line, name in _numbers(tree, names):
                where = path.relative_to(REPOSITORY).as_posix()
                yield f"{where}:{line}: {name} has a default of its own; read it from the settings"
    for name, _ in leaves():
        if name.rsplit(".", 1)[-1] not in read:
            yield f"{name} is read nowhere; remove it from the settings"


def _numbers(tree: ast.AST, names: set[str]) -> Iterator[tuple[int, str]]:
    """Line and name of each parameter of one of these names whose default is a number."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arguments):
            given = [*zip(node.args[::-1], node.defaults[::-1], strict=False)]
            given += [(a, d) for a, d in zip(node.kwonlyargs, node.kw_defaults, strict=True) if d]
            for argument, default in given:
                value = default.value if isinstance(default, ast.Constant) else None
                number = isinstance(value, int | float) and not isinstance(value, bool)
                if number and argument.arg in names:
                    yield default.lineno, argument.arg


def _rooms(path: Path) -> set[str]:
    return set(path.relative_to(REPOSITORY).with_suffix("").parts)
