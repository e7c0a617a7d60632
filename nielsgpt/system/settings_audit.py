"""The settings against the code: every knob is read somewhere, and no number is written twice.

A number is written twice where a statement gives one to a name of the settings of training, model
or generation: by assignment, as a default, in a call or in a dict. 0 and 1 switch things off.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from nielsgpt.config.load import leaves
from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.system.workspace import REPOSITORY

OF_SETTINGS = {"config"}
# A house of its own; generators that count sentences; what measures, and recommends by rule.
FREE = {"micro", "primer", "experiments", "doctor"}
HYPERPARAMETERS = ("training.", "model.", "generation.")
SHORT = {"lr", "betas", "base_lr", "min_lr", "total_steps", "top_k"}  # as others call them
# Not the settings' own: constants of an architecture, of a method, of another library.
OTHERS = {
    ("nielsgpt/model/layers.py", "eps"),
    ("nielsgpt/training/muon.py", "EPS"),
    ("nielsgpt/importers/plain.py", "batch_size"),
    ("nielsgpt/system/device.py", "micro_batch_size"),
    ("nielsgpt/distributed/init.py", "minutes"),
}
SPECIALS_ARE_IN = {"nielsgpt/conversation.py", "nielsgpt/export/verify.py"}
CHOSEN = ("mix_pretrain", "mix_sft")  # by name, in Settings.mix and Settings.phase


def files() -> list[Path]:
    """The files that are scanned: all but those that define the settings."""
    found = [path for room in ("nielsgpt", "cli") for path in (REPOSITORY / room).rglob("*.py")]
    return sorted(path for path in found if OF_SETTINGS.isdisjoint(_rooms(path)))


def faults(paths: Iterable[Path]) -> Iterator[str]:
    """A line for each setting that nothing reads, for each number that belongs into the settings,
    and for each special token that is spelled again."""
    names = {name.rsplit(".", 1)[-1] for name, _ in leaves() if name.startswith(HYPERPARAMETERS)}
    read = set(CHOSEN)
    names = (names | SHORT) - {"seed"}
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        where = path.relative_to(REPOSITORY).as_posix()
        if FREE.isdisjoint(_rooms(path)):
            for line, name in _numbers(tree, names):
                if (where, name) not in OTHERS:
                    told = f"{name} has a number of its own; read it from the settings"
                    yield f"{where}:{line}: {told}"
        if where not in SPECIALS_ARE_IN:
            for line, text in _specials(tree):
                yield f"{where}:{line}: spells {text}; take it from nielsgpt/conversation.py"
    for name, _ in leaves():
        if name.rsplit(".", 1)[-1] not in read:
            yield f"{name} is read nowhere; remove it from the settings"


def _numbers(tree: ast.AST, names: set[str]) -> Iterator[tuple[int, str]]:
    """Line and name of each number that a statement gives to one of these names."""
    for node in ast.walk(tree):
        for name, value in _bindings(node):
            if name.lower() in names and value is not None and _is_number(value):
                yield value.lineno, name


def _bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """The names that a node binds, each with the expression of its value."""
    if isinstance(node, ast.arguments):
        places = [*node.posonlyargs, *node.args]
        for argument, default in zip(places[::-1], node.defaults[::-1], strict=False):
            yield argument.arg, default
        for argument, chosen in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            yield argument.arg, chosen
    elif isinstance(node, ast.Call):
        yield from ((keyword.arg or "", keyword.value) for keyword in node.keywords)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            yield (str(key.value) if isinstance(key, ast.Constant) else ""), value
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _targets(target, node.value)
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr | ast.AugAssign):
        yield from _targets(node.target, node.value)


def _targets(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    """The names of an assignment's left side; of several, each with its own value."""
    if isinstance(target, ast.Tuple | ast.List):
        several = value.elts if isinstance(value, ast.Tuple | ast.List) else []
        for part, own in zip(target.elts, several, strict=False):
            yield from _targets(part, own)
    elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        yield str(target.slice.value), value
    else:
        yield getattr(target, "id", getattr(target, "attr", "")), value


def _is_number(value: ast.expr) -> bool:
    """Whether it is a number, or some of them in a row, other than 0 and 1."""
    if isinstance(value, ast.Tuple | ast.List):
        return any(map(_is_number, value.elts))
    if isinstance(value, ast.UnaryOp | ast.BinOp):
        parts = [part for part in ast.iter_child_nodes(value) if isinstance(part, ast.expr)]
        return any(map(_is_number, parts)) and not any(isinstance(p, ast.Name) for p in parts)
    number = isinstance(value, ast.Constant) and isinstance(value.value, int | float)
    return number and value.value not in (0, 1)  # type: ignore[attr-defined]


def _specials(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and spelling of each special token in a text of the code; prose may speak of them."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield from ((node.lineno, text) for text in SPECIAL_TEXTS if text in node.value)


def _rooms(path: Path) -> set[str]:
    return set(path.relative_to(REPOSITORY).with_suffix("").parts)
