"""Who may import whom, where torch may be, what no file may do: held by a walk over the code."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for folder in ("nielsgpt", "cli")
    for path in (REPOSITORY / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)

# From the ground up. A room imports lower floors only; neighbours on one floor stay apart.
FLOORS = (
    ("", "errors", "progress", "format"),
    ("config", "conversation"),
    ("system",),
    ("tokenizers", "model"),
    ("data", "checkpoint"),
    ("distributed", "inference"),
    ("training", "export", "serve"),
    ("doctor", "report"),
    ("pipeline", "experiments", "importers"),
    ("cli",),
)
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}
APART = ("micro",)
TORCH_ROOMS = (
    *("model", "checkpoint", "distributed", "inference", "training", "export", "doctor"),
    *("system/device", "system/compile_cache"),
    *("experiments", "pipeline/train_phase", "pipeline/samples"),
)
LOADS_TORCH = (*TORCH_ROOMS, "serve", "pipeline/exam", "pipeline/own_text_exam")
UNSAFE_MODULES = ("pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib")
# What reads, probes, draws or decides, by the last part of its name: no work for an import.
WORK = re.compile(
    r"(read|load|open|write|build|choose|detect|probe|seed|run|set|get)(_\w+)?"
    r"|manual_seed|is_available|cpu_count|getenv|basicConfig|Popen|check_output|system|urandom"
    r"|time|now|monotonic|perf_counter|random|rand\w+|default_rng|choice|sample|shuffle"
    r"|exists|is_file|is_dir|mkdir|iterdir|glob|rglob|cwd|getcwd|unlink|stat"
)
NO_WORK = ("get_args", "get_origin", "get_type_hints")


def room_of(path: Path) -> str:
    """A file's room: `data` for nielsgpt/data/cache/shards.py, `cli` for every file of cli/."""
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    if parts[0] == "cli":
        return "cli"
    return "" if parts[1] == "__init__" else parts[1]


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything imported, wherever in the file it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def import_breaches(source: str, room: str, stem: str = "") -> list[str]:
    """What the imports of a file in this room do against the floors."""
    found = []
    for line, name in imports(ast.parse(source)):
        first, *rest = name.split(".")
        other = {"nielsgpt": rest[0] if rest else "", "cli": "cli"}.get(first)
        if not first:
            found.append(f"{line}: {name} is relative; name it in full")
        if other is not None and FLOOR_OF.get(other) is None and other not in APART:
            other = ""  # a plain name of nielsgpt/__init__.py
        if other is not None and other != room and not _below(other, room):
            found.append(f"{line}: {room or 'nielsgpt'} may not import {other or 'nielsgpt'}")
        if first == "torch" and not may_use_torch(room, stem):
            found.append(f"{line}: torch has no place in {room}")
        if first in UNSAFE_MODULES:
            found.append(f"{line}: {first} can run code from a file")
    return found


def may_use_torch(room: str, stem: str) -> bool:
    """Whether a file may import torch: by its room or, in a room that mostly may not, by name."""
    return room in TORCH_ROOMS or f"{room}/{stem}" in TORCH_ROOMS


def _below(other: str, room: str) -> bool:
    if room in APART or other in APART:
        return room == "cli"
    return FLOOR_OF[other] < FLOOR_OF.get(room, -1)


def call_breaches(source: str, may_exit: bool = False) -> list[str]:
    """The calls that no file may make; only cli/main.py may end the program."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
        unsafe = {
            "eval": called in ("eval", "exec", "os.system", "os.popen", "yaml.load"),
            "shell": keywords.get("shell", "False") != "False",
            "pickle in numpy": keywords.get("allow_pickle", "False") != "False",
            "unpacking": called.endswith((".extractall", ".unpack_archive")),
            "code of a model": called.startswith("torch.hub.") or called == "torch.jit.load",
            "code of the Hub": keywords.get("trust_remote_code", "False") != "False",
            "code from text": called in ("compile", "__import__"),
            "TLS unchecked": keywords.get("verify") == "False"
            or called.endswith("unverified_context"),
            "a name to guess": called == "tempfile.mktemp",
            "torch.load": called == "torch.load" and keywords.get("weights_only") != "True",
            "print": called == "print",
            "exit": called in ("sys.exit", "exit", "quit", "os._exit") and not may_exit,
        }
        found += [f"{node.lineno}: {name}: {called}" for name, broken in unsafe.items() if broken]
    return found


def effects_on_import(source: str) -> list[str]:
    """What a file would do, rather than define, when it is imported."""
    found = []
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant):
            found.append(f"{statement.lineno}: {ast.unparse(statement)}")
        elif isinstance(statement, ast.For | ast.While | ast.With | ast.Try):
            found.append(f"{statement.lineno}: {type(statement).__name__.lower()} at module level")
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            found += _working_calls(statement)
    return found


def _working_calls(statement: ast.Assign | ast.AnnAssign) -> list[str]:
    found = []
    for node in ast.walk(statement):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rsplit(".", 1)[-1].lstrip("_")
            if WORK.fullmatch(name) and name not in NO_WORK:
                found.append(f"{node.lineno}: {ast.unparse(node.func)}()")
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "os.environ":
            found.append(f"{node.lineno}: os.environ")
    return found


def label(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def test_there_are_ten_floors_at_most() -> None:
    assert len(FLOORS) <= 10


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in FILES}
    assert rooms - set(FLOOR_OF) - set(APART) == set()
    assert len(FILES) > 10


@pytest.mark.parametrize("path", FILES, ids=label)
def test_a_file_imports_lower_floors_only(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert import_breaches(source, room_of(path), path.stem) == []


@pytest.mark.parametrize("path", FILES, ids=label)
def test_a_file_makes_no_unsafe_or_misplaced_call(path: Path) -> None:
    assert call_breaches(path.read_text(encoding="utf-8"), label(path) == "cli/main.py") == []


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) == "cli"], ids=label)
def test_the_command_line_imports_the_library_only_when_a_command_runs(path: Path) -> None:
    module = ast.parse(path.read_text(encoding="utf-8"))
    module.body = [node for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]
    allowed = {"click", "cli", *sys.stdlib_module_names}
    assert {name.split(".")[0] for _, name in imports(module)} <= allowed


@pytest.mark.parametrize("path", FILES, ids=label)
def test_nothing_happens_on_import(path: Path) -> None:
    assert effects_on_import(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "room"),
    [
        ("from nielsgpt.training import trainer", "data"),
        ("from nielsgpt.report import page", "data"),
        ("from nielsgpt.pipeline.pipeline import pipeline", "inference"),
        ("import nielsgpt.config.settings", "errors"),
        ("def f():\n    import torch", "pipeline"),
        ("from torch import nn", "tokenizers"),
        ("from . import shards", "data"),
        ("import cli.main", "pipeline"),
        ("from nielsgpt.errors import NielsError", "micro"),
        ("import pickle", "checkpoint"),
    ],
)
def test_a_breach_of_the_floors_is_seen(source: str, room: str) -> None:
    assert len(import_breaches(source, room)) == 1


@pytest.mark.parametrize(
    ("source", "room"),
    [
        ("from nielsgpt.errors import NielsError", "data"),
        ("from nielsgpt.data.cache.shards import Shards", "data"),
        ("from nielsgpt import __version__", "pipeline"),
        ("def f():\n    from nielsgpt.pipeline.pipeline import pipeline", "cli"),
        ("import torch", "model"),
    ],
)
def test_a_lawful_import_is_left_alone(source: str, room: str) -> None:
    assert import_breaches(source, room) == []


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "subprocess.run(line, shell=True)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "os.system(line)",
        "archive.extractall(folder)",
        "shutil.unpack_archive(path)",
        "torch.hub.load(repository, name)",
        "torch.jit.load(path)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "compile(text, path, mode)",
        "requests.get(url, verify=False)",
        "ssl._create_unverified_context()",
        "tempfile.mktemp()",
        "print(text)",
        "sys.exit(1)",
    ],
)
def test_a_forbidden_call_is_seen(source: str) -> None:
    assert len(call_breaches(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "logging.basicConfig()",
        "torch.manual_seed(0)",
        "DEVICE = choose_device()",
        "COUNT = os.cpu_count()",
        "FACTS = load_facts(PATH)",
        "HOME = os.environ['HOME']",
        "TEXT = Path('a').read_text()",
        "for name in names:\n    register(name)",
        "with open(path) as file:\n    text = file.read()",
    ],
)
def test_work_on_import_is_seen(source: str) -> None:
    assert len(effects_on_import(source)) >= 1


def test_one_place_alone_writes_what_a_model_or_a_stranger_says() -> None:
    writers = {path.name for path in FILES if "stdout.write(" in path.read_text("utf-8")}
    assert writers == {"terminal.py"}


def test_the_command_line_and_the_data_stages_start_without_torch() -> None:
    modules = [
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
        for path in FILES
        if not {room_of(path), f"{room_of(path)}/{path.stem}"} & set(LOADS_TORCH)
        and path.name != "__main__.py"
    ]
    code = (
        "import importlib, logging, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print('torch' in sys.modules, len(logging.getLogger().handlers))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False 0\n"
