"""A disk that runs full: one line, nothing torn, and with room again the work goes on."""

import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nielsgpt.config.settings import Settings
from nielsgpt.errors import NielsError, RunError
from nielsgpt.pipeline import pipeline
from nielsgpt.system.workspace import Workspace
from tests.faults import jobs
from tests.faults.disk import tree
from tests.faults.jobs import Job
from tests.faults.test_endings import weights

JOBS: dict[str, Callable[[Path], Job]] = {
    "a first checkpoint": lambda folder: jobs.saving(),
    "a further checkpoint": lambda folder: jobs.saving(1, 2, 3),
    "caches": lambda folder: jobs.caching_of(0, folder),
    "caches in parts": lambda folder: jobs.caching_of(2, folder),
    "a tokenizer": lambda folder: jobs.training_a_tokenizer("char"),
    "an export": lambda folder: jobs.exporting(),
    "a run's facts": lambda folder: jobs.noting(),
    "a measurement": lambda folder: jobs.measuring(),
}
PARTS = (0.0, 0.02, 0.1, 0.3, 0.5, 0.8, 0.95, 0.99)


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """A limit as a full disk is one: what goes beyond it fails with an error of the system."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", JOBS)
def test_where_there_is_no_room_the_old_stays_and_the_same_work_goes_on(
    name: str, tmp_path: Path
) -> None:
    job = JOBS[name](tmp_path / "whole")
    straight = tmp_path / "straight"
    straight.mkdir()
    job.before(straight)
    old = job.found(straight)
    job.work(straight)
    new, files = job.found(straight), tree(straight)
    failed = 0
    for part in PARTS:
        place = tmp_path / str(part)
        place.mkdir()
        job.before(place)
        with no_file_above(int(part * max(map(len, files.values())))):
            try:
                job.work(place)
            except RunError as error:
                failed += 1
                assert "no space left" in str(error) or "free some space" in str(error), part
                assert "\n" not in str(error)
        assert job.found(place) in (old, new, *job.also), part
        job.work(place)
        assert job.found(place) == new, part
        assert not job.same or tree(place) == files, part
    assert failed >= len(PARTS) // 2


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[float], Path]]:
    """A disk of its own of so many MiB, or the same with its size changed."""
    place = tmp_path / "disk"
    place.mkdir()

    def sized(mebibytes: float) -> Path:
        again = ",remount" if place.is_mount() else ""
        size = f"size={int(mebibytes * 1024)}k{again}"
        made = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.run(made, capture_output=True).returncode:
            pytest.skip("only root may make a disk")
        return place

    yield sized
    if place.is_mount():
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_pipeline_on_a_disk_that_is_too_small_by_any_part_ends_in_one_line_and_goes_on(
    settings: Settings, examined: Path, disk: Callable[[float], Path]
) -> None:
    straight = weights(Workspace(examined, settings))
    whole = sum(map(len, tree(examined).values())) / 2**20
    failed = 0
    for part in (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        workspace = Workspace(disk(part * whole), settings)
        try:
            pipeline.run(workspace)
        except NielsError as error:
            assert isinstance(error, RunError), error
            assert "\n" not in str(error)
            assert "no space left" in str(error)
            failed += 1
        disk(4 * whole)
        pipeline.run(workspace)
        assert weights(workspace) == straight, part
        for entry in workspace.root.iterdir():
            shutil.rmtree(entry)
    assert failed > 5
