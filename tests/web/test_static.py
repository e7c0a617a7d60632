"""The page's files hold nothing that a hostile reply could use, and nothing of another host."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / "nielsgpt" / "serve" / "static"
FILES = sorted(path for path in STATIC.rglob("*") if path.is_file())
# The name of SVG's language looks like an address and is none.
SVG = "http://www.w3.org/2000/svg"
FORBIDDEN = {
    "markup from text": r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|srcdoc|DOMParser"
    r"|createContextualFragment|document\.write|parseFromString",
    "code from text": r"\beval\b|\bFunction\s*\(|import\s*\(|set(Timeout|Interval)\(\s*[\"'`]",
    "an address that runs": r"(javascript|vbscript):|data:\w+/",
    "another host": r"(?:https?:|wss?:|[\"'(])//\w|@import|url\(",
    "a style in the markup": r"\bstyle\s*=|<style|setAttribute\(.style",
    "a handler in the markup": r"<[^>]*\son\w+\s*=|setAttribute\(.on|\.on(click|error|load)\b",
    "a frame or an object": r"<(iframe|object|embed|base|form\s[^>]*action)",
}


def breaches(text: str) -> list[str]:
    """The names of what is forbidden and stands in the text."""
    text = text.replace(SVG, "")
    return [name for name, pattern in FORBIDDEN.items() if re.search(pattern, text)]


class Page(HTMLParser):
    """Every tag of the page, with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))


@pytest.fixture(scope="module")
def tags() -> list[tuple[str, dict[str, str]]]:
    page = Page()
    page.feed((STATIC / "index.html").read_text("utf-8"))
    return page.tags


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
def test_a_file_of_the_page_holds_nothing_forbidden(path: Path) -> None:
    assert breaches(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "a.innerHTML = b",
        "document.write(b)",
        "eval(b)",
        "new Function(b)",
        'setTimeout("go()")',
        '<a href="javascript:go()">',
        '<script src="https://cdn.example/x.js">',
        "fetch('//cdn.example/x')",
        "background: url(x.png)",
        '<p style="color: red">',
        '<img src="x" onerror="go()">',
        "<iframe src=x>",
    ],
)
def test_the_rule_finds_what_is_forbidden(text: str) -> None:
    assert breaches(text)


def test_the_files_are_few_kinds_flat_and_short() -> None:
    assert {path.suffix for path in FILES} == {".html", ".css", ".js", ".svg"}
    assert all(path.parent == STATIC for path in FILES)
    assert all(len(path.read_text("utf-8").splitlines()) <= 260 for path in FILES)


def test_every_file_that_the_page_names_is_there(tags: list[tuple[str, dict[str, str]]]) -> None:
    named = {value for _, given in tags for value in (given.get("src"), given.get("href"))}
    local = {name for name in named if name and not name.startswith("#")}
    assert "static/app.js" in local
    for name in local:
        assert (STATIC.parent / name).is_file(), name
    modules = [path for path in FILES if path.suffix == ".js"]
    imported = {
        name
        for path in modules
        for name in re.findall(r'from "\./([\w.-]+)";', path.read_text("utf-8"))
    }
    assert imported == {path.name for path in modules} - {"app.js"}


def test_every_id_that_the_code_asks_for_is_in_the_page(
    tags: list[tuple[str, dict[str, str]]],
) -> None:
    there = [given["id"] for _, given in tags if "id" in given]
    assert len(there) == len(set(there))
    asked = {
        name
        for path in FILES
        if path.suffix == ".js"
        for name in re.findall(
            r'(?:getElementById|\bat|stamped)\("([\w-]+)"\)', path.read_text("utf-8")
        )
    }
    assert len(asked) > 20
    assert asked <= set(there)
    uses = {given["href"][1:] for tag, given in tags if tag == "use"}
    assert uses <= set(there)
    points = ("for", "aria-labelledby", "aria-describedby", "aria-controls")
    assert {given[name] for _, given in tags for name in points if name in given} <= set(there)


def test_the_package_carries_the_page() -> None:
    import tomllib

    project = tomllib.loads((STATIC.parents[2] / "pyproject.toml").read_text("utf-8"))
    carried = project["tool"]["setuptools"]["package-data"]["nielsgpt.serve"]
    assert {path for pattern in carried for path in STATIC.parent.glob(pattern)} == set(FILES)
