"""How settings come together: the defaults, the chain of `extends`, the file, then `--set`.

Dicts deep-merge; the two mixes replace. Unknown keys are errors that suggest the nearest name.
"""

import difflib
import json
import os.path
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from nielsgpt.config import foreign_names, legacy_names
from nielsgpt.config.settings import Settings
from nielsgpt.errors import SettingsError

Tree = dict[str, Any]
REPLACED = ("data.mix_pretrain", "data.mix_sft")
LONGEST_SHOWN, MOST_SHOWN = 80, 8  # characters of a value, problems of a file


def load(
    path: Path | None = None,
    assignments: Iterable[str] = (),
    folders: Iterable[Path] = (Path(),),
) -> tuple[Settings, list[str]]:
    """Settings from a file and `section.name=value` assignments, and a warning for each
    file with old names.

    A bare file name is looked for in `folders` in turn. Raises SettingsError naming the file, the
    key and the value.
    """
    folders = list(folders)
    told: Tree = {}
    warnings: list[str] = []
    for layer, where in _chain(path, folders) if path else ():
        translated, notes = legacy_names.translate(layer)
        warnings += [f"{where}: {'; '.join(notes)}"] if notes else []
        told = merge(told, translated)
    tree = told
    for assignment in assignments:
        tree = merge(tree, _assignment(assignment))
    try:
        return validate(tree, str(path)), warnings
    except SettingsError:
        validate(told, str(path))  # the file alone is sound, so the rest is not
        return validate(tree, "the command line"), warnings


def validate(tree: Mapping[str, Any], where: str) -> Settings:
    """The tree over the defaults, checked. Raises SettingsError naming every unknown key."""
    full = merge(Settings().model_dump(mode="json"), tree)
    for name in _find_unspellable(full):
        raise SettingsError(f"{where}: {name} contains a lone surrogate, which UTF-8 cannot encode")
    try:
        return Settings.model_validate_json(json.dumps(full))
    except ValidationError as error:
        raise SettingsError(f"{where}: {_explain(error)}") from None


def override(settings: Settings, tree: Mapping[str, Any], where: str) -> Settings:
    """The settings with a tree laid over them, checked. Raises SettingsError, naming `where`."""
    return validate(merge(settings.model_dump(mode="json"), tree), where)


def merge(below: Mapping[str, Any], above: Mapping[str, Any], prefix: str = "") -> Tree:
    """`above` laid over `below`: dicts merge key by key, everything else and the mixes replace."""
    merged = dict(below)
    for key, value in above.items():
        path = f"{prefix}{key}"
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and path not in REPLACED:
            merged[key] = merge(old, value, f"{path}.")
        else:
            merged[key] = value
    return merged


def difference(tree: Mapping[str, Any], base: Mapping[str, Any], prefix: str = "") -> Tree:
    """The overrides that turn the base into the tree; both are complete."""
    found: Tree = {}
    for key, value in tree.items():
        path, old = f"{prefix}{key}", base.get(key)
        if value == old:
            continue
        if isinstance(value, dict) and isinstance(old, dict) and path not in REPLACED:
            value = difference(value, old, f"{path}.")
        found[key] = value
    return found


def leaves(section: type[BaseModel] | None = None, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every knob as (dotted name, meaning), in the order of this file."""
    for name, field in (section or Settings).model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaves(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.description or ""


def _chain(path: Path, folders: list[Path], seen: tuple[Path, ...] = ()) -> list[tuple[Tree, Path]]:
    found = next((folder / path for folder in folders if (folder / path).is_file()), None)
    if found is None:
        raise SettingsError(f"config {path} is not a file; 'ls configs' lists the shipped ones")
    if found.resolve() in seen:
        raise SettingsError(f"config {path} extends itself through {' -> '.join(map(str, seen))}")
    try:
        tree = json.loads(found.read_text(encoding="utf-8"), object_pairs_hook=once)
    except OSError as error:
        reason = error.strerror
        raise SettingsError(f"config {found} cannot be read ({reason}); name another") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise SettingsError(f"config {found} is not JSON: {error}") from None
    if not isinstance(tree, dict):
        raise SettingsError(f"config {found} is {_show(tree)}, not an object of sections")
    parent = tree.pop("extends", None)
    if parent is None:
        return [(tree, found)]
    if not isinstance(parent, str):
        raise SettingsError(f"config {found}: extends is {parent!r}, not a file name")
    above = _chain(
        Path(os.path.expanduser(parent)), [found.parent, *folders], (*seen, found.resolve())
    )
    return [*above, (tree, found)]


def _assignment(text: str) -> Tree:
    name, equals, raw = text.partition("=")
    if not equals or not name:
        raise SettingsError(f"--set {text!r} is not of the form section.name=value")
    try:
        value = json.loads(raw, object_pairs_hook=once)
    except (ValueError, RecursionError):
        value = raw
    for part in reversed(name.split(".")):
        value = {part: value}
    tree: Tree = value
    return tree


def once(pairs: list[tuple[str, Any]]) -> Tree:
    """A JSON object whose names are all different; a hook for `json.loads`. Raises ValueError."""
    tree = dict(pairs)
    if len(tree) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object holds the name {json.dumps(twice)} twice")
    return tree


def _find_unspellable(value: Any, name: str = "") -> Iterator[str]:
    """The dotted names of the texts, and names, that UTF-8 cannot spell."""
    if isinstance(value, str) and not _spells(value):
        yield name
    parts = value.items() if isinstance(value, dict) else ()
    for key, part in enumerate(value) if isinstance(value, list) else parts:
        yield from _find_unspellable(part, f"{name}.{key}".lstrip("."))
        if isinstance(key, str) and not _spells(key):
            yield f"a name in {name or 'the tree'}"


def _spells(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _show(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _explain(error: ValidationError) -> str:
    problems = []
    for item in error.errors():
        name = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            problems.append(f"unknown key {name}{_suggest(name)}")
        elif item["type"] == "value_error":
            problems.append(f"{name + ': ' if name else ''}{item['ctx']['error']}")
        else:
            message = item["msg"][0].lower() + item["msg"][1:]
            problems.append(f"{name} is {_show(item['input'])}: {message}")
    more = f"; and {len(problems) - MOST_SHOWN} more" if len(problems) > MOST_SHOWN else ""
    return "; ".join(problems[:MOST_SHOWN]) + more


def _suggest(name: str) -> str:
    """Suggest our name for another program's, or the closest one; empty-handed, the list."""
    section, _, word = name.rpartition(".")
    if word in foreign_names.INSTEAD:
        return f" ({foreign_names.INSTEAD[word]})"
    meant = foreign_names.find_counterpart(name) or _closest(section, word)
    return f" (did you mean {meant}?)" if meant else " ('nielsgpt config' lists all)"


def _closest(section: str, word: str) -> str | None:
    """The setting whose last word is this one or nearly: of the same section, if it has one."""
    known = [path for path, _ in leaves()] + list(Settings.model_fields)
    here = [path for path in known if path.rpartition(".")[0] == section]
    for paths, cutoff in ((here, 0.75), (known, 0.8)):
        last = {path.rpartition(".")[2]: path for path in reversed(paths)}
        for match in difflib.get_close_matches(word, last, 1, cutoff):
            return last[match]
    return None


def reference() -> str:
    """docs/settings.md: every setting with its default and meaning."""
    lines = [
        "# Settings",
        "",
        "Every setting, generated by `nielsgpt config --docs`. A config is a JSON file with the",
        'settings that differ from these defaults; `"extends": "other.json"` starts from another',
        "config. `--set section.name=value` overrides both. `nielsgpt config` prints the result.",
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
    ]
    defaults = Settings().model_dump(mode="json")
    for name, meaning in leaves():
        value: Any = defaults
        for part in name.split("."):
            value = value[part]
        shown = json.dumps(value).replace("|", "\\|")
        lines.append(f"| `{name}` | `{shown}` | {meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"
