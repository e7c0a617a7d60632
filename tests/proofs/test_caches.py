"""A cache is the same bytes for any number of processes, of parts, and of kills on the way."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nielsgpt.config.settings import Settings
from nielsgpt.data.cache import blocks
from nielsgpt.data.cache.distributed_build import BuildPart
from nielsgpt.data.cache.shards import Split
from nielsgpt.data.catalog import Source
from nielsgpt.errors import DataError
from nielsgpt.pipeline import build_caches
from nielsgpt.system import worker_pool
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.tokenizers.byte import ByteTokenizer
from tests.journeys.conftest import ENVIRONMENT

Tiny = Callable[..., Settings]
BYTES = ByteTokenizer()


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_DOCUMENTS", 20)


def made(folder: Path) -> dict[str, bytes]:
    return {
        f"{path.parent.name}/{path.name}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock" and "parts" not in path.parts
    }


@pytest.fixture
def small(tiny: Tiny) -> Callable[..., Settings]:
    def build(**data: object) -> Settings:
        return tiny(data={"shard_bytes": 8192, "workers": 1, **data})

    return build


def straight(folder: Path, settings: Settings, tokenizer: Tokenizer = BYTES) -> dict[str, bytes]:
    build_caches.build_all(Workspace(folder, settings), tokenizer)
    return made(folder)


@pytest.mark.parametrize("tokenizer", ["unigram"], indirect=True)
def test_two_processes_make_what_one_makes(
    tmp_path: Path,
    small: Callable[..., Settings],
    tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_pool, "ALONE_S", 0.0)
    alone = straight(tmp_path / "1", small(), tokenizer)
    assert straight(tmp_path / "2", small(workers=2), tokenizer) == alone
    assert len(alone) > 12


@pytest.mark.parametrize("count", [3, 12])
def test_parts_put_together_make_what_one_machine_makes(
    count: int, tmp_path: Path, small: Callable[..., Settings]
) -> None:
    workspace = Workspace(tmp_path / "joined", small())
    for number in range(count, 0, -1):
        build_caches.build_all(workspace, BYTES, part=BuildPart(number, count))
    assert made(workspace.root) == {}
    build_caches.build_all(workspace, BYTES, join=count)
    assert made(workspace.root) == straight(tmp_path / "straight", small())


def budgeted(monkeypatch: pytest.MonkeyPatch, train: int, val: int) -> None:
    real = build_caches.find_sources

    def sources(*arguments: object) -> dict[str, Source]:
        found = real(*arguments)  # type: ignore[arg-type]
        return {n: Source(n, s.inputs, s.walk, train, val) for n, s in found.items()}

    monkeypatch.setattr(build_caches, "find_sources", sources)


@pytest.mark.parametrize("margin", [1.1, 0.3])
def test_parts_of_a_token_budget_are_enough_or_are_gone_on_from(
    margin: float,
    tmp_path: Path,
    small: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    budgeted(monkeypatch, 20_000, 2_000)
    monkeypatch.setattr("nielsgpt.data.cache.distributed_build.MARGIN", margin)
    workspace = Workspace(tmp_path / "joined", small())
    for number in (1, 2, 3):
        build_caches.build_all(workspace, BYTES, part=BuildPart(number, 3))
    build_caches.build_all(workspace, BYTES, join=3)
    assert made(workspace.root) == straight(tmp_path / "straight", small())
    train = Split(workspace.splits("pretrain"), "primer_train", BYTES.fingerprint)
    assert 20_000 <= train.tokens < 22_000


@pytest.mark.parametrize("fault", ["missing", "foreign", "damaged"])
def test_a_part_that_cannot_be_used_is_one_line(
    fault: str, tmp_path: Path, small: Callable[..., Settings]
) -> None:
    workspace = Workspace(tmp_path, small())
    for number in (1, 3):
        build_caches.build_all(workspace, BYTES, part=BuildPart(number, 3))
    other = small(val_fraction=0.2) if fault == "foreign" else small()
    if fault != "missing":
        build_caches.build_all(Workspace(tmp_path, other), BYTES, part=BuildPart(2, 3))
    if fault == "damaged":
        path = workspace.cache / "parts" / "streams" / "primer" / "2-of-3" / "ids.bin"
        content = bytearray(path.read_bytes())
        content[9] ^= 1
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        build_caches.build_all(workspace, BYTES, join=3)
    said = str(caught.value)
    assert "\n" not in said
    assert "'nielsgpt caches --part 2/3'" in said
    assert {"missing": "not built yet", "foreign": "split_rule changed", "damaged": "is damaged"}[
        fault
    ] in said


def test_a_part_that_is_up_to_date_is_left_alone(
    tmp_path: Path, small: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nielsgpt")
    for _ in range(2):
        build_caches.build_all(Workspace(tmp_path, small()), BYTES, part=BuildPart(1, 2))
    assert caplog.text.count("part 1/2 up to date") == 2


@pytest.mark.parametrize("part", [None, BuildPart(2, 2)])
@pytest.mark.parametrize("killed_at", [1, 4, 7])
def test_a_killed_build_goes_on_without_encoding_again_what_it_had(
    part: BuildPart | None,
    killed_at: int,
    tmp_path: Path,
    small: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded: list[int] = []
    dies = [killed_at]
    real = build_caches.make_encoder

    def dying(source: str, phase: str, *rest: object) -> object:
        workspace = real(source, phase, *rest)  # type: ignore[arg-type]

        def one(items: list[object]) -> object:
            if len(encoded) in dies:
                raise KeyboardInterrupt
            encoded.append(len(items))
            return workspace(items)

        return one

    def whole(folder: str) -> int:
        encoded.clear()
        build_caches.build_all(Workspace(tmp_path / folder, small()), BYTES, part=part)
        return sum(encoded)

    monkeypatch.setattr(build_caches, "make_encoder", dying)
    with pytest.raises(KeyboardInterrupt):
        whole("killed")
    dies.clear()
    assert whole("killed") <= whole("straight") - 20 * (killed_at - 1)
    for folder in ("killed", "straight") if part else ():
        workspace = Workspace(tmp_path / folder, small())
        build_caches.build_all(workspace, BYTES, part=BuildPart(1, 2))
        build_caches.build_all(workspace, BYTES, join=2)
    assert made(tmp_path / "killed") == made(tmp_path / "straight") != {}


def test_a_source_that_became_shorter_meanwhile_is_said(
    tmp_path: Path, small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path, small())
    real = build_caches._Stage._cut
    with (
        monkeypatch.context() as patched,
        pytest.raises(DataError, match=r"ends after \d+ documents, but 1,0"),
    ):
        patched.setattr(build_caches._Stage, "_cut", lambda stage, skip: real(stage, 10**9))
        build_caches.build_all(workspace, BYTES)


CHILD = """
import sys, time
from pathlib import Path
from nielsgpt.pipeline.pipeline import build_caches
from nielsgpt.data.cache import blocks, split_builder
from nielsgpt.config.settings import Settings
from nielsgpt.tokenizers.byte import ByteTokenizer
from nielsgpt.system.workspace import Workspace
blocks.BLOCK_DOCUMENTS = 20
remember, saved = split_builder.SplitBuilder._save_progress, []
def told(self):
    if len(saved) == 3:  # with more written than remembered
        print("here", flush=True)
        time.sleep(60)
    remember(self)
    saved.append(1)
split_builder.SplitBuilder._save_progress = told
settings = Settings.model_validate_json(sys.argv[2])
build_caches.build_all(Workspace(Path(sys.argv[1]), settings), ByteTokenizer())
"""


def test_sigkill_loses_nothing_that_was_finished(
    tmp_path: Path, small: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "killed"), small().model_dump_json()],
        cwd=Path(__file__).resolve().parents[2],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"here\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not (tmp_path / "killed/data/cache/tiny/streams/primer_val.meta.json").exists()
    caplog.set_level(logging.INFO, "nielsgpt")
    again = straight(tmp_path / "killed", small())
    assert "source primer: resuming after" in caplog.text
    assert again == straight(tmp_path / "straight", small())


LARGE = """
import sys
from pathlib import Path
from nielsgpt.pipeline.pipeline import build_caches; from nielsgpt.config import load
from nielsgpt.conversation import Document
from nielsgpt.data.catalog import Source
from nielsgpt.tokenizers.byte import ByteTokenizer
from nielsgpt.system.workspace import Workspace

def walk():
    for number in range(int(sys.argv[2]) * 1000):
        yield Document(f"{number} " * 140)

settings = load.validate({"name": "large", "data": {"workers": 1}}, "test")
work = Workspace(Path(sys.argv[1]), settings)
build_caches.build_source(work, "pretrain", Source("s", [], walk), ByteTokenizer())
print(next(l for l in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in l))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_times_the_text_takes_a_tenth_more_memory_at_most(tmp_path: Path) -> None:
    def peak(megabytes: int) -> int:
        ran = subprocess.run(
            [sys.executable, "-c", LARGE, str(tmp_path / str(megabytes)), str(megabytes)],
            cwd=Path(__file__).resolve().parents[2],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=True,
        )
        return int(ran.stdout.split()[1])

    assert peak(40) <= 1.1 * peak(4)
