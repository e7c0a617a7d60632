"""The image and its services: buildable by any engine, without rights, and volumes that last."""

import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
SCRIPTS = [REPOSITORY / ".ci" / "run", *sorted((REPOSITORY / "scripts").iterdir())]
# Words that bash 3.2 or BSD's tools, which macOS ships, do not know.
NOT_EVERYWHERE = (
    r"\bmapfile\b|\breadarray\b|declare -A|\$\{\w+(,,|\^\^)|sed -i(?! '')|date -d|stat -c|grep -P"
    r"|readlink -f|\bnproc\b|[^-]\btimeout \d|sha256sum|&>>|\|&"
)


def volumes() -> dict[str, str]:
    """Volume by mount point, as every service has them."""
    mounts = re.findall(r"^    - (?:\$\{\w+:-)?(\w+)\}?:(/\S+)$", COMPOSE, re.M)
    return {place: volume for volume, place in mounts}


@pytest.mark.parametrize("newer", [r"^#\s*syntax=", r"<<-?['\"]?\w", r"COPY --link", r"ADD --"])
def test_the_dockerfile_needs_no_newer_frontend(newer: str) -> None:
    assert not re.search(newer, DOCKERFILE, re.M)


def test_the_image_installs_the_torch_that_the_project_asks_for() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = re.search(r"^ARG TORCH_VERSION=(\S+)$", DOCKERFILE, re.M)
    assert version
    assert f"torch=={version[1]}" in project["dependencies"]


def test_the_base_image_is_an_argument_pinned_by_tag() -> None:
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.11-[\w.-]+$", DOCKERFILE, re.M)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)) == {"${PYTHON_IMAGE}"}


def test_the_image_runs_as_a_numbered_user_that_is_not_root() -> None:
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.M) == ["${UID}:${GID}"]
    assert re.findall(r"^ARG [UG]ID=(.+)$", DOCKERFILE, re.M) == ["1000", "1000"]
    assert re.search(r"groupadd -o .*\n.*useradd -o ", DOCKERFILE)


def test_what_a_run_makes_lies_in_named_volumes() -> None:
    declared = COMPOSE[COMPOSE.index("\nvolumes:") :].split()[1:]
    assert sorted(f"{name}:" for name in volumes().values()) == sorted(declared)
    assert set(volumes().values()) >= {"data", "checkpoints", "runs", "huggingface"}


def test_every_volume_belongs_to_the_user_of_the_image() -> None:
    listed = re.search(r"^VOLUME \[(.+)\]$", DOCKERFILE, re.M)
    made = re.search(r"mkdir -p (.+) \\$", DOCKERFILE, re.M)
    assert listed and made
    assert set(re.findall(r'"(\S+?)"', listed[1])) == set(volumes()) == set(made[1].split())


def test_no_volume_hides_the_project() -> None:
    assert "COPY . /app\n" in DOCKERFILE
    assert not [place for place in volumes() if place.startswith("/app")]


@pytest.mark.parametrize("line", ["init: true", "read_only: true", "cap_drop: [ALL]"])
def test_every_service_is_held_tight(line: str) -> None:
    shared = COMPOSE[COMPOSE.index("x-service:") : COMPOSE.index("\nservices:")]
    services = COMPOSE[COMPOSE.index("\nservices:") : COMPOSE.index("\nvolumes:")]
    assert f"  {line}\n" in shared
    assert len(re.findall(r"^  [\w-]+:$", services, re.M)) == services.count("<<: *service")


def test_the_gpu_is_asked_for_under_its_profile_only() -> None:
    assert "driver: nvidia" in COMPOSE
    before, after = COMPOSE.split("profiles: [gpu]")
    assert "nvidia" not in before
    assert "driver: nvidia" in after.split("\n\n")[0]


def test_the_build_leaves_out_what_a_run_made_and_takes_the_seeds() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {".git", ".venv", "checkpoints", "runs", "data/*"} <= set(lines)
    kept = {line.removeprefix("!/") for line in _gitignore() if line.startswith("!/data/")}
    assert kept == {line.removeprefix("!") for line in lines if line.startswith("!")}


def _gitignore() -> list[str]:
    return (REPOSITORY / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_runs_on_every_bash(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert path.stat().st_mode & 0o111
    assert not re.search(NOT_EVERYWHERE, text)


def test_of_the_checkpoints_folder_git_keeps_the_readme_alone() -> None:
    lines = [line for line in _gitignore() if "checkpoints" in line]
    assert lines == ["/checkpoints/*", "!/checkpoints/README.md"]
