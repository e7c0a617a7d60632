"""Training in many processes from the command line: stopped, killed, over two machines."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.journeys.conftest import ENVIRONMENT, launch

TWO = ("pretrain", "-c", "tiny.json", "--nproc", "2")
LONG = tuple(
    f"--set=training.pretrain.{setting}"
    for setting in ("max_steps=150", "eval_every=10", "checkpoint_every=10")
)
ENDLESS = ("--set", "training.pretrain.max_steps=1000000")


@contextmanager
def started(folder: Path, *words: str, command: tuple[str, ...] = ()) -> Iterator[psutil.Popen]:
    """`nielsgpt words`, or a command, as a process that is gone at the end, with its children."""
    first = command or (sys.executable, "-m", "cli")
    process = psutil.Popen(
        [*first, *words],
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    family: list[psutil.Process] = []
    try:
        yield process
    finally:
        if process.is_running():
            family = process.children(recursive=True)
        for one in (process, *family):
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()
        process.stderr.close()


def until(said: str, process: psutil.Popen) -> str:
    """What the process says up to this."""
    heard = ""
    for line in process.stderr:
        heard += line
        if said in line:
            return heard
    pytest.fail(f"never said {said!r}:\n{heard}")


def gone(processes: list[psutil.Process], within_s: float = 10.0) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def hashed(folder: Path, name: str = "pretrain/latest.pt") -> str:
    return launch(folder, "checkpoint", "hash", f"checkpoints/tiny/{name}").stdout.split()[0]


def copied(trained: Path, target: Path) -> Path:
    """A folder with the config and the caches of a trained one."""
    shutil.copytree(trained / "data", target / "data", dirs_exist_ok=True)
    shutil.copy(trained / "tiny.json", target)
    return target


@pytest.mark.slow
def test_two_processes_train_the_very_model_of_one(trained: Path, tmp_path: Path) -> None:
    home = copied(trained, tmp_path)
    ran = launch(home, *TWO, "--no-resume")
    assert ran.returncode == 0, ran.stderr
    assert hashed(home) == hashed(trained)
    assert ran.stderr.count("step 3/6") == 1, "one of them speaks"
    (run,) = (home / "runs").iterdir()
    meta = json.loads((run / "run_meta.json").read_text())
    assert meta["command"] == ["nielsgpt", *TWO, "--no-resume"]
    assert meta["outcome"] == "done"


def test_a_number_of_processes_that_cannot_share_is_one_line(trained: Path, tmp_path: Path) -> None:
    home = copied(trained, tmp_path)
    ran = launch(home, "pretrain", "-c", "tiny.json", "--nproc", "3")
    assert ran.returncode == 2
    assert "cannot share 2 micro-batches of 2 rows among 3 processes" in ran.stderr
    assert ran.stderr.count("error:") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_and_one_alone_goes_on_to_the_same_bits(
    number: signal.Signals, trained: Path, tmp_path: Path
) -> None:
    home, straight = copied(trained, tmp_path / "a"), copied(trained, tmp_path / "b")
    with started(home, *TWO, *LONG) as process:
        until("step 30/", process)
        family = process.children(recursive=True)
        process.send_signal(number)
        _, rest = process.communicate()
        assert process.returncode == 128 + number
        assert re.search(r"stopped at step \d+ of 150, which is saved", rest)
        assert len(family) == 2
        assert gone(family)
    for folder in (home, straight):
        ran = launch(folder, "pretrain", "-c", "tiny.json", *LONG)
        assert ran.returncode == 0, ran.stderr
    assert hashed(home) == hashed(straight)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_is_replaced_and_the_weights_are_the_same(
    rank: int, trained: Path, tmp_path: Path
) -> None:
    home, straight = copied(trained, tmp_path / "a"), copied(trained, tmp_path / "b")
    with started(home, *TWO, *LONG, "--no-resume") as process:
        until("step 30/", process)
        family = sorted(process.children(recursive=True), key=lambda p: p.environ()["RANK"])
        family[rank].kill()
        heard = until("restarting from the newest checkpoint in 1 s", process)
        assert f"process {rank} of 2 was ended by SIGKILL" in heard
        heard += process.communicate()[1]
        assert process.returncode == 0, heard
        assert gone(family)
    assert launch(straight, "pretrain", "-c", "tiny.json", *LONG).returncode == 0
    assert hashed(home) == hashed(straight)


@pytest.mark.slow
def test_no_process_outlives_the_one_that_watches(trained: Path, tmp_path: Path) -> None:
    home = copied(trained, tmp_path)
    with started(home, *TWO, *ENDLESS) as process:
        until("step 3/", process)
        family = process.children(recursive=True)
        process.kill()
        assert gone(family)


def torchrun(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "torch.distributed.run", *words, "-m", "cli")


@pytest.mark.slow
def test_torchrun_starts_it_too(trained: Path, tmp_path: Path) -> None:
    home = copied(trained, tmp_path)
    shutil.rmtree(home / "data")  # one of them makes the caches
    words = ("pretrain", "-c", "tiny.json")
    command = torchrun("--standalone", "--nproc-per-node", "2")
    with started(home, *words, command=command) as process:
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert hashed(home) == hashed(trained)


@contextmanager
def two_hosts() -> Iterator[Callable[[int], tuple[str, ...]]]:
    """Two network namespaces joined by a cable; what comes out puts a command into one."""
    names = [f"nielsgpt{os.getpid()}{side}" for side in "ab"]

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "cable0", "netns", names[0], "type", "veth", "peer", "name", "cable0",
           "netns", names[1])  # fmt: skip
        for number, name in enumerate(names, 1):
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "cable0")
            for link in ("cable0", "lo"):
                ip("-n", name, "link", "set", link, "up")
        yield lambda host: ("ip", "netns", "exec", names[host])
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.mark.slow
@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0 or shutil.which("ip") is None,
    reason="network namespaces need root and ip",
)
def test_two_hosts_that_share_no_files_train_the_model_of_one(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = [copied(trained, tmp_path / side) for side in "ab"]
    monkeypatch.setitem(ENVIRONMENT, "GLOO_SOCKET_IFNAME", "cable0")
    words = ("pretrain", "-c", "tiny.json")
    with two_hosts() as inside:
        commands = [
            inside(host)
            + torchrun(
                *("--nnodes", "2", "--node-rank", str(host), "--nproc-per-node", "1"),
                *("--master-addr", "10.77.0.1", "--master-port", "29577"),
            )
            for host in (0, 1)
        ]
        with (
            started(homes[0], *words, command=commands[0]) as first,
            started(homes[1], *words, command=commands[1]) as second,
        ):
            said = [process.communicate()[1] for process in (first, second)]
            assert (first.returncode, second.returncode) == (0, 0), said
    assert hashed(homes[0]) == hashed(trained)
    assert not (homes[1] / "checkpoints").exists(), "the leader alone saves"


@pytest.mark.slow
def test_a_pipeline_in_two_processes_is_the_pipeline_of_one(trained: Path, tmp_path: Path) -> None:
    home = copied(trained, tmp_path)
    ran = launch(home, "pipeline", "-c", "tiny.json", "--nproc", "2")
    assert ran.returncode == 0, ran.stderr
    for name in ("pretrain/best.pt", "sft/best.pt"):
        assert hashed(home, name) == hashed(trained, name)
    assert (home / "checkpoints/tiny/exam.json").stat().st_size > 0
