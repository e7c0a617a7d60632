"""Phrases that the project has retired stay out of its documents, help texts and messages."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.rules.messages import ERRORS, REPOSITORY, template

RETIRED = {
    r"\banew\b": "again",
    r"\b(learn(s|t|ed|ing)?|know(s|n)?) (\w+ ){0,4}by heart\b": "overfit, memorize",
    r"\bforetold\b": "predicted",
    r"\bsettled\b": "resolved",
    r"\b(go|goes|going) on\b": "resume, continue",
    r"\bso many\b": "this many, or the number",
    r"\bso much\b": "this much, or the amount",
    r"\bsays what\b": "names, explains",
    r"\bwhere there (is|are) none\b": "if there is none",
    r"\blikeliest\b": "most likely",
    r"\blearnt\b": "learned",
    r"\bunasked\b": "unless asked",
    r"\bof (yours|ours)\b": "your, our",
    r"\bthe same mathematics\b": "the same result",
    r"\b(hold|holds|held|holding)\b[^.|;:]{0,60}?\bagainst\b": "checks against, compares with",
}
OPENING = {r"\AWhat ": "begin with the thing itself"}
SPEAKERS = {"debug", "info", "warning", "error", "exception", "critical"}
KEYWORDS = {"help", "short_help", "epilog", "description"}

# Paths that still breach the rule. Remove a path when it is clean; add none.
PENDING: set[str] = set()


def breaches(text: str, table: dict[str, str] = RETIRED) -> list[str]:
    """Each retired phrase in the text, with the suggestion for it."""
    flat = re.sub(r"\s+", " ", text)
    hits = ((re.search(phrase, flat, re.I), better) for phrase, better in table.items())
    return [f"'{hit[0]}': say {better}" for hit, better in hits if hit]


def breaches_in_code(source: str) -> list[str]:
    """The breaches in the docstrings, messages, help texts and descriptions of a module."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node) or ""
            found += breaches(docstring) + breaches(docstring, OPENING)
        elif isinstance(node, ast.Call):
            found += [hit for text in _spoken(node) for hit in breaches(text)]
    return found


def _spoken(call: ast.Call) -> Iterator[str]:
    """The texts of a call that a person reads."""
    function = ast.unparse(call.func)
    name = function.rsplit(".", 1)[-1]
    if name in ERRORS | SPEAKERS or function.startswith("click."):
        yield from map(template, call.args)
    yield from (template(word.value) for word in call.keywords if word.arg in KEYWORDS)


def _breaching() -> dict[str, list[str]]:
    """The breaches of every file that has some, by its path."""
    top = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "Makefile")
    documents = [REPOSITORY / name for name in top]
    documents += (REPOSITORY / "docs").rglob("*.md")
    code = [path for room in ("nielsgpt", "cli") for path in (REPOSITORY / room).rglob("*.py")]
    everything = {
        **{path: breaches(path.read_text("utf-8")) for path in documents},
        **{path: breaches_in_code(path.read_text("utf-8")) for path in code},
    }
    named = {path.relative_to(REPOSITORY).as_posix(): hits for path, hits in everything.items()}
    return {name: hits for name, hits in named.items() if hits and name != "docs/lab-log.md"}


def test_no_document_message_or_docstring_uses_a_retired_phrase() -> None:
    assert {path: hits for path, hits in _breaching().items() if path not in PENDING} == {}


def test_every_pending_path_still_breaches_so_that_the_list_only_shrinks() -> None:
    assert sorted(PENDING - _breaching().keys()) == []


@pytest.mark.parametrize(
    "source",
    [
        '"""What the model remembers."""',
        'def f():\n    """The run goes\n    on from here."""',
        'log.info("%s: built anew", name)',
        'raise DataError(f"{path} is foretold; delete it")',
        'click.option("--hours", help="So many hours.")',
        'click.echo("held by a rule against the library")',
        'rate: float = Field(1.0, description="The settled rate.")',
        'log.warning("%s; going on without it", fault)',
        'click.option("--top-k", help="Draw from the k likeliest.")',
        'def f():\n    """The state, or None where there is none."""',
    ],
)
def test_a_planted_breach_is_seen(source: str) -> None:
    assert breaches_in_code(source)


def test_names_and_plain_words_are_no_breach() -> None:
    assert breaches_in_code('"""Whatever unsettled: categories go once."""\nanew = "anew"') == []
