"""requirements.lock: all packages but torch, each pinned by version and hash, no host named."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
ENTRY = re.compile(r"^(?P<pin>\S.*?)(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})*)$", re.M)
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ASKED = [
    Requirement(line)
    for line in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"])
]
# What torch itself imports, and what builds the project offline.
BESIDE_TORCH = [
    "filelock",
    "fsspec",
    "jinja2",
    "networkx",
    "setuptools",
    "sympy",
    "typing-extensions",
]


def pinned() -> list[Requirement]:
    return [Requirement(entry["pin"]) for entry in ENTRY.finditer(LOCK)]


def test_the_lock_is_nothing_but_pins_with_hashes() -> None:
    entries = list(ENTRY.finditer(LOCK))
    assert "\n".join(entry[0] for entry in entries) + "\n" == LOCK
    for entry in entries:
        assert [part.operator for part in Requirement(entry["pin"]).specifier] == ["=="]
        assert entry["hashes"], entry["pin"]


def test_the_lock_names_no_host_and_no_index() -> None:
    assert not re.search(r"://|index|find-links|trusted| @ ", LOCK)


def test_torch_and_what_only_its_cuda_build_needs_stay_out() -> None:
    names = {requirement.name for requirement in pinned()}
    assert not [name for name in names if re.match(r"torch$|triton$|nvidia-|cuda-", name)]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: str(asked.name))
def test_the_lock_holds_what_the_project_asks_for(asked: Requirement) -> None:
    if asked.name == "torch":
        assert re.fullmatch(r"==[0-9.]+", str(asked.specifier))
        return
    pins = [pin for pin in pinned() if pin.name == canonicalize_name(asked.name)]
    assert pins
    for pin in pins:
        version = next(iter(pin.specifier)).version
        assert asked.specifier.contains(version), f"{pin} is not {asked}; run make lock"


@pytest.mark.parametrize("name", BESIDE_TORCH)
def test_the_lock_holds_what_torch_needs_beside_it(name: str) -> None:
    assert name in {requirement.name for requirement in pinned()}
