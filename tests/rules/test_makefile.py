"""The Makefile, run as people run it: what it hands to nielsgpt, where, and what it says."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
STAGES = [
    "pipeline",
    "caches",
    "tokenizer",
    "pretrain",
    "sft",
    "exam",
    "chat",
    "sample",
    "serve",
    "export",
    "runs",
    "bench",
    "plan",
    "recommend",
    "doctor",
    "primer",
    "config",
    "sources",
    "import",
]
TOOLS = [
    *(
        "run",
        "setup",
        "build",
        "test",
        "lint",
        "format",
        "proofs",
        "speedrun",
        "lock",
        "clean",
        "help",
    ),
    "test-faults",
    *("caches-verify", "caches-show", "ancients", "check-sources"),
    *("overnight", "micro-train", "micro-sample", "micro-benchmark"),
    "audit",
    "new",
]
# Stand-ins for what lies outside the project: each says how it was called.
NIELSGPT = '#!/bin/sh\nfor word; do printf "[%s]" "$word"; done\n'
DOCKER = """#!/bin/sh
case "$*" in
  version*) echo 28.0 ;;
  "compose version"*) echo 2.30 ;;
  info*) echo '{"runc":{}}' ;;
  "image inspect"*|"compose build"*) ;;
  *) echo "docker $*" ;;
esac
"""
NO_DOCKER = "#!/bin/sh\nexit 1\n"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


class Checkout:
    """A checkout that is set up already, with programs of its own before those of the machine."""

    def __init__(self, root: Path) -> None:
        self.root = root / "a checkout é"
        self.programs = root / "programs"
        self.programs.mkdir()
        (self.root / ".venv" / "bin").mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "requirements.lock"):
            shutil.copy(REPOSITORY / name, self.root)
        self.program(".venv/bin/nielsgpt", NIELSGPT)
        self.program("docker", NO_DOCKER)
        self.program("uname", "#!/bin/sh\necho Linux\n")
        stamp = self.root / ".venv" / ".installed"
        stamp.write_text(f"{self.root.resolve()}\n", encoding="utf-8")

    def program(self, name: str, text: str) -> None:
        path = self.root / name if "/" in name else self.programs / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        kept = {key: os.environ[key] for key in ("HOME", "TMPDIR") if key in os.environ}
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["make", *words],
            cwd=self.root,
            env={**kept, "PATH": path, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("stage", STAGES)
def test_a_target_runs_the_command_of_its_name(checkout: Checkout, stage: str) -> None:
    done = checkout.make(stage)
    assert (done.returncode, done.stdout) == (0, f"[{stage}]")


@pytest.mark.parametrize("word", ["verify", "show"])
def test_a_target_of_the_caches_runs_its_command(checkout: Checkout, word: str) -> None:
    done = checkout.make(f"caches-{word}", "CONFIG=a.json")
    assert (done.returncode, done.stdout) == (0, f"[caches][{word}][--config][a.json]")


def test_the_target_ancients_downloads_them(checkout: Checkout) -> None:
    done = checkout.make("ancients", "ARGS=--limit 3")
    assert (done.returncode, done.stdout) == (0, "[ancients][download][--limit][3]")


def test_any_other_command_is_run_too(checkout: Checkout) -> None:
    done = checkout.make("run", "ARGS=caches show", "CONFIG=a.json")
    assert (done.returncode, done.stdout) == (0, "[caches][show][--config][a.json]")
    done = checkout.make("runs", "ARGS=show latest", "CONFIG=a.json")
    assert done.stdout == "[runs][show][latest]"  # a run knows its own settings


def test_overnight_plans_and_then_trains_by_the_plan(checkout: Checkout) -> None:
    done = checkout.make("overnight", "HOURS=6", "CONFIG=my.json", "DEVICE=cpu")
    plan = "[plan][--hours][6][--name][overnight-plan][--config][my.json][--device][cpu]"
    train = "[pipeline][--config][plans/overnight-plan.json][--device][cpu]"
    assert (done.returncode, done.stdout) == (0, plan + train)


def test_the_settings_reach_the_command_whole(checkout: Checkout) -> None:
    done = checkout.make(
        "sample", "CONFIG=my configs/a.json", "DEVICE=cpu", "ARGS=--prompt 'Once, \"I'"
    )
    words = ["sample", "--prompt", 'Once, "I', "--config", "my configs/a.json", "--device", "cpu"]
    assert done.stdout == "".join(f"[{word}]" for word in words)


def test_one_line_says_where_it_runs_and_why(checkout: Checkout) -> None:
    done = checkout.make("config")
    assert done.stderr == "nielsgpt: running in .venv (no Docker engine answers)\n"


def test_docker_is_taken_where_an_engine_answers(checkout: Checkout) -> None:
    checkout.program("docker", DOCKER)
    done = checkout.make("exam", "DEVICE=cpu")
    assert done.stdout == "docker compose run --rm -T nielsgpt exam --device cpu\n"
    assert done.stderr == "nielsgpt: running in the Docker image (engine 28.0, compose 2.30)\n"


def test_in_docker_too_texts_are_read_and_results_are_left_in_the_checkout(
    checkout: Checkout,
) -> None:
    folders = ("data", "checkpoints", "runs", "models", "bench", "plans")
    asked = " ".join(f"${name.upper()}_DIR" for name in folders)
    checkout.program("docker", DOCKER.replace('"docker $*"', f'"{asked}"'))
    done = checkout.make("config", "RUNS_DIR=/elsewhere")
    places = [str(checkout.root.resolve() / name) for name in folders]
    assert done.stdout == " ".join(places).replace(places[2], "/elsewhere") + "\n"
    assert all((checkout.root / name).is_dir() for name in folders)
    shipped = (REPOSITORY / "docker-compose.yml").read_text("utf-8")
    for name in folders:
        assert f"- ${{{name.upper()}_DIR:-{name}}}:/workspace/{name}\n" in shipped


def test_the_server_in_docker_is_reached_from_this_machine_alone(checkout: Checkout) -> None:
    checkout.program("docker", DOCKER)
    done = checkout.make("serve", "ARGS=--port 8000", "DEVICE=cpu")
    assert done.stdout == (
        "docker compose run --rm -T -p 127.0.0.1:8000:8000 nielsgpt serve "
        "--port 8000 --device cpu --host 0.0.0.0 --insecure\n"
    )


def test_the_gpu_service_is_taken_for_cuda(checkout: Checkout) -> None:
    checkout.program("docker", DOCKER)
    done = checkout.make("exam", "DEVICE=cuda:1")
    assert done.stdout == "docker compose run --rm -T nielsgpt-gpu exam --device cuda:1\n"


def test_run_native_wins_over_an_engine(checkout: Checkout) -> None:
    checkout.program("docker", DOCKER)
    done = checkout.make("caches", "RUN=native")
    assert (done.stdout, done.stderr) == (
        "[caches]",
        "nielsgpt: running in .venv (RUN=native)\n",
    )


def test_macos_runs_natively_beside_an_engine(checkout: Checkout) -> None:
    checkout.program("docker", DOCKER)
    checkout.program("uname", "#!/bin/sh\necho Darwin\n")
    done = checkout.make("sft")
    assert done.stdout == "[sft]"
    assert "macOS" in done.stderr
    assert checkout.make("sft", "RUN=docker").stdout.startswith("docker compose run")


def test_an_engine_without_compose_is_no_engine(checkout: Checkout) -> None:
    checkout.program("docker", '#!/bin/sh\n[ "$1" = version ] && echo 28.0\n')
    done = checkout.make("config")
    assert done.stdout == "[config]"
    assert "no Compose plugin" in done.stderr


@pytest.mark.parametrize("words", [("pipeline", "RUN=docker"), ("build",)])
def test_docker_that_is_asked_for_and_missing_is_one_clear_line(
    checkout: Checkout, words: tuple[str, ...]
) -> None:
    done = checkout.make(*words)
    assert done.returncode == 2
    assert re.fullmatch(r"Makefile:\d+: \*\*\* this needs Docker, .*\n", done.stderr)


def test_an_unknown_way_to_run_is_one_clear_line(checkout: Checkout) -> None:
    done = checkout.make("pipeline", "RUN=podman")
    assert done.returncode == 2
    assert re.fullmatch(r"Makefile:\d+: \*\*\* RUN=podman is unknown; .*\n", done.stderr)


def test_a_machine_without_python_is_told_so(checkout: Checkout) -> None:
    shutil.rmtree(checkout.root / ".venv")
    done = checkout.make("setup", "RUN=native", "PYTHON=python-that-is-not-there")
    assert done.returncode == 2
    assert "no Python 3.11 or later with venv and pip among: python-that-is-not-there" in (
        done.stderr
    )
    assert not (checkout.root / ".venv").exists()


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml", "the folder"])
def test_setting_up_is_done_again_only_when_something_changed(
    checkout: Checkout, changed: str
) -> None:
    assert "installing" not in checkout.make("-n", "setup").stdout
    if changed == "the folder":
        checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    else:
        later = (checkout.root / ".venv" / ".installed").stat().st_mtime + 10
        os.utime(checkout.root / changed, (later, later))
    assert "installing torch" in checkout.make("-n", "setup").stdout


def test_packages_are_installed_by_hash_and_torch_by_version(checkout: Checkout) -> None:
    (checkout.root / ".venv" / ".installed").unlink()
    plan = checkout.make("-n", "setup", "TORCH_INDEX=INDEX").stdout
    assert re.search(r'install \$quiet --index-url "INDEX" torch==\d+\.\d+\.\d+\n', plan)
    # Before torch, which then takes nothing that has a hash from elsewhere.
    assert plan.index("--no-deps --require-hashes -r requirements.lock\n") < plan.index("torch==")
    assert "--no-deps --no-build-isolation -e .\n" in plan


def test_clean_keeps_what_was_trained(checkout: Checkout) -> None:
    kept = ("checkpoints/a/best.pt", "runs/1/metrics.csv", "data/raw/my.txt")
    gone = ("data/cache/a/1.bin", "data/tokenizers/a/t.model", ".mypy_cache/x")
    for name in (*kept, *gone):
        (checkout.root / name).parent.mkdir(parents=True)
        (checkout.root / name).touch()
    assert checkout.make("clean").returncode == 0
    assert [(checkout.root / name).exists() for name in kept] == [True] * len(kept)
    assert [(checkout.root / name).exists() for name in gone] == [False] * len(gone)


def test_help_lists_every_target_in_one_column(checkout: Checkout) -> None:
    listed = re.findall(r"^  (make ([\w-]+) +)\S", checkout.make().stdout, re.M)
    assert sorted(target for _, target in listed) == sorted((*STAGES, *TOOLS))
    assert len({len(column) for column, _ in listed}) == 1


@pytest.mark.parametrize(
    "newer", [r"^\.ONESHELL", r"^\w+ *!=", r"::=", r"\$\(file ", r"&:", r"\$\(let ", r"^\w+ :::="]
)
def test_make_3_81_understands_every_line(newer: str) -> None:
    assert not re.search(newer, MAKEFILE, re.M)


@pytest.mark.parametrize("target", [*STAGES, *TOOLS])
def test_a_make_that_keeps_to_posix_plans_every_target(checkout: Checkout, target: str) -> None:
    (checkout.root / "Makefile").write_text(f".POSIX:\n{MAKEFILE}", encoding="utf-8")
    checkout.program("docker", DOCKER)  # for the target build, which is Docker's alone
    done = checkout.make("-n", target, *([] if target == "build" else ["RUN=native"]))
    assert (done.returncode, done.stderr.count("***")) == (0, 0), done.stderr
