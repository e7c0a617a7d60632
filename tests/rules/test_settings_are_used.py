"""No dead knobs: every setting is read somewhere outside the settings themselves."""

import ast
from pathlib import Path

from nielsgpt.layers import leaves

ROOT = Path(__file__).resolve().parents[2]
OF_SETTINGS = {"settings", "layers", "legacy"}


def room(path: Path) -> set[str]:
    """The names on the way from the repository to the file, its own without the suffix."""
    return set(path.relative_to(ROOT).with_suffix("").parts)


def test_every_setting_is_read_by_the_code() -> None:
    read: set[str] = set()
    for folder in ("nielsgpt", "cli"):
        for path in (ROOT / folder).rglob("*.py"):
            if OF_SETTINGS.isdisjoint(room(path)):
                tree = ast.parse(path.read_text("utf-8"))
                read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    # `mix` and `phase` choose between these two by name.
    read |= {"mix_pretrain", "mix_sft"}
    unread = [name for name, _ in leaves() if name.rsplit(".", 1)[-1] not in read]
    assert unread == []


def test_no_hyperparameter_is_written_down_twice() -> None:
    """A default in the code beside the one in the settings would be a second truth."""
    names = {name.rsplit(".", 1)[-1] for name, _ in leaves()}
    found = []
    for path in (ROOT / "nielsgpt").rglob("*.py"):
        if not (OF_SETTINGS | {"primer"}).isdisjoint(room(path)):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.arguments):
                spots = [*zip(node.args[::-1], node.defaults[::-1], strict=False)]
                spots += [
                    (a, d) for a, d in zip(node.kwonlyargs, node.kw_defaults, strict=True) if d
                ]
                for argument, default in spots:
                    number = isinstance(default, ast.Constant) and isinstance(
                        default.value, int | float
                    )
                    if number and not isinstance(default.value, bool) and argument.arg in names:
                        found.append(f"{path.name}:{default.lineno}: {argument.arg}")
    assert found == []
