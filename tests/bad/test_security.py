"""What SECURITY.md promises of names, places and the network, beside the rules over the code."""

import ipaddress
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from nielsgpt.config.settings import ServeSettings, Settings
from nielsgpt.system.workspace import Workspace
from tests.bad.running import listing, put, run

REPOSITORY = Path(__file__).resolve().parents[2]
LEADING_OUT = ["..", ".", "", "../x", "a/../../x", "/etc", "a/b", "a\\b", "~", "-rf", "a\0", "a\n"]


@pytest.mark.parametrize("name", LEADING_OUT)
def test_no_name_of_a_model_leads_out_of_its_folders(name: str) -> None:
    with pytest.raises(ValidationError):
        Settings(name=name)


def test_everything_of_a_model_lies_below_the_root(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, Settings(name="a..b"))
    places = (
        workspace.tokenizer,
        workspace.cache,
        workspace.checkpoints,
        workspace.runs,
        workspace.splits("sft"),
    )
    assert all(place.resolve().is_relative_to(tmp_path.resolve()) for place in places)


@pytest.mark.parametrize("name", [name for name in LEADING_OUT if name.isprintable() and name])
def test_a_run_is_found_among_the_runs_alone(name: str, root: Path) -> None:
    put(root, {"runs/20260101-000000-aaaaaaaa/run_meta.json": "{}", "x/run_meta.json": "{}"})
    before = listing(root)
    ran = run(f"runs show -- '{name}'")
    assert (ran.code, listing(root)) == (2, before)
    assert "no run " in ran.lines[-1]


def test_the_server_listens_to_this_machine_alone_unless_told() -> None:
    assert ipaddress.ip_address(ServeSettings().host).is_loopback


def test_one_place_alone_opens_a_port() -> None:
    pattern = re.compile(r"create_server|\.bind\(|\.listen\(|HTTPServer|start_server|uvicorn\.run")
    found = {
        path.relative_to(REPOSITORY).as_posix()
        for folder in ("nielsgpt", "cli")
        for path in (REPOSITORY / folder).rglob("*.py")
        if pattern.search(path.read_text("utf-8"))
    }
    assert found == {"nielsgpt/serve/server.py", "cli/serve.py"}


def test_the_image_gives_its_port_to_this_machine_alone() -> None:
    places = [REPOSITORY / name for name in ("Makefile", "docker-compose.yml", "Dockerfile")]
    text = "\n".join(path.read_text("utf-8") for path in places)
    published = re.findall(r"(?:-p |^\s+- \"?)([\d.]*:?\d+:\d+)\b", text, re.M)
    assert published == ["127.0.0.1:8000:8000"]


@pytest.mark.parametrize("library", ["pickle", "marshal", "shelve", "dill", "joblib"])
def test_nothing_that_ships_unpickles(library: str) -> None:
    pattern = re.compile(rf"^\s*(?:import|from) {library}\b", re.M)
    for folder in ("nielsgpt", "cli", "benchmarks"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            assert not pattern.search(path.read_text("utf-8")), path


def test_the_page_on_security_names_where_to_report_and_what_holds_it() -> None:
    page = (REPOSITORY / "SECURITY.md").read_text("utf-8")
    for place in re.findall(r"`(tests/[\w/]+(?:\.py)?)`", page):
        assert (REPOSITORY / place).exists(), place
    assert "private" in page.lower() and "report" in page.lower()
