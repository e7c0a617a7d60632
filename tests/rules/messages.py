"""The errors that the code can tell a person, read from the code itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ERRORS = {
    *("NielsError", "SettingsError", "DataError", "TokenizerError", "CheckpointError"),
    *("EngineError", "BusyError", "RunError", "Stopped", "MicroError", "MicroRunError"),
    *("UsageError", "BadParameter"),
}
GAP = "\N{HORIZONTAL ELLIPSIS}"


def messages() -> Iterator[tuple[str, str]]:
    """Each message with a gap for what is filled in, and the file that it is in."""
    for folder in ("nielsgpt", "cli"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and node.args and _name(node.func) in ERRORS:
                    yield template(node.args[0]), path.relative_to(REPOSITORY).as_posix()


def template(node: ast.expr) -> str:
    """The fixed words of a text in the code: `no run … in …; 'nielsgpt runs' lists them`."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) for part in node.values)
    return GAP


def _name(node: ast.expr) -> str:
    return ast.unparse(node).rsplit(".", 1)[-1]


def hub_faults() -> tuple[list[str], list[str]]:
    """What can go wrong with a dataset and with a model of the Hub, with the same gaps."""
    from nielsgpt.data.sources import hub_errors as of_data
    from nielsgpt.export import hub_repository as of_models

    tables = (of_data.FAULTS, of_models.MODEL_FAULTS)
    rows = [[fault.problem for fault in table] for table in tables]
    datasets, models = ([re.sub(r"\{\w+\}", GAP, text) for text in texts] for texts in rows)
    return list(dict.fromkeys(datasets)), list(dict.fromkeys(models))
