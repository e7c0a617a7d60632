"""Names: no class or file name twice, functions are verbs, files named in documents exist."""

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# micro/ is a house of its own, and a command's file has the command's name.
FILES = sorted(p for p in (ROOT / "nielsgpt").rglob("*.py") if "micro" not in p.parts)
PARTICIPLE = re.compile(r"_?[a-z]+ed")
# Words that end so and are no participles, or are a noun of the field.
VERBS = ("embed", "need", "seed", "feed", "exceed", "proceed", "speed", "shed", "read", "spread")


def test_no_file_name_stands_twice() -> None:
    places = defaultdict(list)
    for path in FILES:
        if path.name != "__init__.py":
            places[path.name].append(path.relative_to(ROOT).as_posix())
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_no_class_name_stands_twice() -> None:
    places = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def participles(source: str) -> list[str]:
    """The functions of a file that are named by a bare participle; properties may be."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            decorators = {ast.unparse(one).rsplit(".", 1)[-1] for one in node.decorator_list}
            verb = node.name.lstrip("_").split("_")[0] in VERBS
            if PARTICIPLE.fullmatch(node.name) and not verb and "property" not in decorators:
                found.append(node.name)
    return found


def test_no_function_is_named_by_a_participle() -> None:
    found = {p.relative_to(ROOT).as_posix(): participles(p.read_text("utf-8")) for p in FILES}
    assert {name: functions for name, functions in found.items() if functions} == {}


def test_a_participle_is_seen() -> None:
    source = "def cleaned(): ...\ndef _tried(): ...\ndef embed(): ...\ndef clean(): ...\n"
    assert participles(source) == ["cleaned", "_tried"]


def test_every_file_of_the_code_that_a_document_names_exists() -> None:
    named = re.compile(r"`((?:nielsgpt|cli|tests|benchmarks)/[\w/.-]+\.\w+)")
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for document in documents:
        if document.name in ("lab-log.md", "CHANGELOG.md"):  # history
            continue
        for name in named.findall(document.read_text("utf-8")):
            assert (ROOT / name).exists(), f"{document.name} names {name}"


def misplaced(page: str, root: Path = ROOT) -> list[str]:
    """The names of a page, as in `file.py` (`name`), that the file does not define."""
    found = []
    for file, names in re.findall(r"`([\w/.-]+\.py)` \((`[^)]+`)\)", page):
        source = (root / file).read_text("utf-8")
        for name in re.findall(r"`(\w+)(?:\.\w+)*`", names):
            if not re.search(rf"^ *(def|class) {name}\b|^{name}\b.* = ", source, re.M):
                found.append(f"{file}: {name}")
    return found


def test_the_architecture_names_functions_where_they_are() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert misplaced(page) == []
    assert page.count("` (`") > 10


def test_a_misplaced_name_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("KINDS = {}\nclass A:\n    def step(self): ...\n")
    page = "`a.py` (`step`, `KINDS`, `A.step`), `a.py` (`stop`)"
    assert misplaced(page, tmp_path) == ["a.py: stop"]
