"""Every file operation of a piece of work, and what a kill or a power loss before it leaves behind.

The work is watched once; each state that its folder could be left in is laid down again. There the
old or the new is found, whole, and the same work done again ends as if nothing had happened.
"""

from pathlib import Path

import pytest

from nielsgpt.errors import NielsError
from nielsgpt.system.atomic_files import read_json, write_json
from tests.faults import jobs
from tests.faults.disk import sample, tree, watch
from tests.faults.jobs import NOTHING, Job

Patch = pytest.MonkeyPatch
ALL = 10**6


def survives(job: Job, folder: Path, patch: Patch, most: int = ALL) -> int:
    """Hold the job to its promise in every state, or in so many; returns how many there were."""
    straight = folder / "straight"
    straight.mkdir()
    job.before(straight)
    old = job.found(straight)
    disk = watch(straight, lambda: job.work(straight), patch)
    new, files = job.found(straight), tree(straight)
    assert new not in (NOTHING, old)
    for fault, state in disk.last.items():
        place = state.put(folder / fault)
        assert job.found(place) == new, f"done, and then {fault}"
        assert job.named(place) == job.named(straight), f"done, and then {fault}"
    for number, state in enumerate(sample(disk, most)):
        place = state.put(folder / str(number))
        assert job.found(place) in (old, new, *job.also), state.fault
        job.work(place)
        assert job.found(place) == new, state.fault
        assert not job.same or tree(place) == files, state.fault
    return len(disk.states)


@pytest.mark.parametrize("before", [(), (1,), (1, 2, 3)], ids=["first", "second", "pruning"])
def test_a_save_cut_off_anywhere_leaves_the_old_state_or_the_new(
    before: tuple[int, ...], tmp_path: Path, monkeypatch: Patch
) -> None:
    assert survives(jobs.saving(*before), tmp_path, monkeypatch) > 20


def test_a_save_on_a_disk_without_links_is_as_safe(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr("os.link", refused)
    assert survives(jobs.saving(1), tmp_path, monkeypatch) > 20


def refused(*arguments: object) -> None:
    raise PermissionError("this file system knows no links")


@pytest.mark.parametrize("most", [8, pytest.param(ALL, marks=pytest.mark.slow)])
@pytest.mark.parametrize("over", [False, True], ids=["new", "over others"])
@pytest.mark.parametrize("parts", [0, 2], ids=["whole", "joined"])
def test_a_cache_build_cut_off_anywhere_is_finished_to_the_same_bytes(
    parts: int, over: bool, most: int, tmp_path: Path, monkeypatch: Patch
) -> None:
    job = jobs.caching_of(parts, tmp_path / "spare", over)
    assert survives(job, tmp_path, monkeypatch, most) > 100


@pytest.mark.parametrize("before", ["bpe", "char", None])
def test_a_tokenizer_cut_off_anywhere_is_the_old_one_the_new_one_or_none(
    before: str | None, tmp_path: Path, monkeypatch: Patch
) -> None:
    assert survives(jobs.training_a_tokenizer(before), tmp_path, monkeypatch) > 8


def test_an_export_cut_off_anywhere_is_the_old_folder_the_new_one_or_none(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    assert survives(jobs.exporting(), tmp_path, monkeypatch) > 20


def test_a_runs_facts_cut_off_anywhere_are_the_old_ones_or_the_new(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    assert survives(jobs.noting(), tmp_path, monkeypatch) > 4


def test_a_measurement_cut_off_anywhere_is_measured_again_and_the_others_stay(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    assert survives(jobs.measuring(), tmp_path, monkeypatch) == 3


def test_a_writer_that_renames_what_is_not_safe_yet_is_found_out(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    def careless(folder: Path) -> None:
        (folder / "beside").write_text('{"step": 2}')
        (folder / "beside").replace(folder / "meta.json")

    def found(folder: Path) -> object:
        return read_json(folder / "meta.json")

    job = Job(lambda folder: write_json(folder / "meta.json", {"step": 1}), careless, found)
    with pytest.raises(NielsError, match="is damaged"):
        survives(job, tmp_path, monkeypatch)
