"""The documents say what is so: every command in them parses, generated pages are current."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cli.config import command_reference
from cli.main import COMMANDS, nielsgpt
from nielsgpt.config.load import leaves, reference
from tests.rules.messages import hub_faults, messages

ROOT = Path(__file__).resolve().parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
DOCUMENTS = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]
SPAN = re.compile(r"`([^`\n]+)`")
BLOCK = re.compile(r"^(?:    |  \$ )((?:nielsgpt|make) [^#\n]*)", re.M)


def commands(program: str) -> list[tuple[str, str]]:
    """Every command line of the program in a code span or block, with its document's name."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text("utf-8")
        lines = [*SPAN.findall(text), *BLOCK.findall(text)]
        found += [
            (document.name, line)
            for line in lines
            if line.split()[0] == program and "NAME" not in line
        ]
    return found


def parse(words: list[str]) -> None:
    """Parse a nielsgpt command line without running it. Raises a click error if it does not."""
    group: click.Command = nielsgpt
    context = click.Context(nielsgpt, info_name="nielsgpt", resilient_parsing=False)
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        name, group, words = group.resolve_command(context, words)
        assert group is not None, name
    group.make_context(
        "nielsgpt", words, resilient_parsing=not {"--help", "--version"}.isdisjoint(words)
    )


def test_the_settings_page_is_current() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert page == reference(), "make it with: nielsgpt config --docs > docs/settings.md"


def test_every_nielsgpt_command_in_the_documents_parses() -> None:
    found = commands("nielsgpt")
    assert len(found) > 8
    for document, line in found:
        words = shlex.split(line.replace("...", ""), comments=True)[1:]
        try:
            parse([word for word in words if word not in ("|", "<", ">")])
        except click.ClickException as error:
            pytest.fail(f"{document}: {line}: {error.format_message()}")


def test_every_make_target_in_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    found = commands("make")
    assert len(found) > 5
    named = set(re.findall(r"^(?:STAGES|TOOLS) := (.*)$", makefile, re.M)[0].split())
    for stages in re.findall(r"^(?:STAGES|TOOLS) := (.*)$", makefile, re.M):
        named |= set(stages.split())
    for document, line in found:
        for word in line.split()[1:]:
            if "=" in word or not re.fullmatch(r"[a-z-]+", word):
                break
            assert word in named, f"{document}: {line}"


def test_the_reference_of_the_commands_is_current() -> None:
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    made = command_reference(nielsgpt)
    assert page == made, "write it again: nielsgpt config --commands > docs/commands.md"
    for name in COMMANDS:
        assert f"## nielsgpt {name}\n" in page, name


def test_every_stage_of_the_makefile_is_a_command() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    stages = re.findall(r"^STAGES := (.*)$", makefile, re.M)[0].split()
    assert set(stages) <= set(COMMANDS)


def headings(document: Path) -> set[str]:
    """The anchors of a document's headings, as a browser of the repository makes them."""
    lines = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}


def test_every_link_leads_to_a_file_and_to_a_heading_of_it() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!http)([^)]+)\)", document.read_text("utf-8")):
            name, _, anchor = target.partition("#")
            file = document.parent / name if name else document
            assert file.exists(), f"{document.name} links to {target}"
            assert not anchor or anchor in headings(file), f"{document.name} links to {target}"


def test_every_page_of_the_documents_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        document = ahead.pop()
        if document in seen:
            continue
        seen.add(document)
        for target in re.findall(r"\]\((?!http)([^)#]+\.md)", document.read_text("utf-8")):
            ahead.append((document.parent / target).resolve())
    assert [page.name for page in DOCUMENTS if page.resolve() not in seen] == []


SETTING = re.compile(
    r"(?:tokenizer|data|model|training|generation|exam|device|serve)(?:\.[a-z_0-9]+)+"
)


def test_every_setting_that_a_document_names_exists() -> None:
    known = {name for name, _ in leaves()}
    sections = {name.rsplit(".", depth)[0] for name in known for depth in (1, 2, 3)}
    files = {".md", ".json", ".jsonl", ".txt", ".py", ".safetensors", ".pt", ".csv"}
    for document in DOCUMENTS:
        for span in SPAN.findall(document.read_text("utf-8")):
            name = span.partition("=")[0].removeprefix("--set ").strip()
            if SETTING.fullmatch(name) and Path(name).suffix not in files:
                assert name in known | sections, f"{document.name}: {span}"


def test_the_page_on_troubles_lists_every_message_and_none_that_is_gone() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    listed = {line.strip("`") for line in re.findall(r"^- (`.+`)$", page, re.M)}
    known = {text for text, _ in messages()} | {text for side in hub_faults() for text in side}
    worded = {text for text in known if len(re.sub(r"[^A-Za-z]", "", text)) > 5}
    missing, gone = sorted(worded - listed), sorted(listed - worded)
    assert (missing, gone) == ([], []), "docs/troubleshooting.md: add the first, drop the second"


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    words = [row[0].lower() for row in re.findall(r"^\| (.+?) \| (.+) \|$", page, re.M)][1:]
    assert len(words) > 60
    assert words == sorted(set(words))


def test_every_shipped_config_settles() -> None:
    for path in sorted((ROOT / "configs").glob("*.json")):
        ran = subprocess.run(
            [sys.executable, "-c", "from cli.main import main; main()", "config", "-c", str(path)],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert ran.returncode == 0, ran.stderr


def test_the_package_names_no_persona() -> None:
    for folder in ("nielsgpt", "cli"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix not in (".pyc", ".png"):
                text = path.read_text("utf-8").replace("personas/niels.json", "")
                found = re.search(r"\bniels\b|light-?house", text, re.IGNORECASE)
                assert not found, f"{path}: {found}"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no git checkout")
def test_text_that_ships_names_no_machine_of_ours() -> None:
    pattern = re.compile(r"(?<![\w.-])/(?:work|farm|Users|home/(?!me/)[a-z]+)/")
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split("\n")
    for name in filter(None, tracked):
        if not name.endswith("test_documents.py"):
            assert not pattern.search((ROOT / name).read_text("utf-8", "replace")), name
