"""Both splits while they are built: killed, gone on with, ended by a budget."""

from dataclasses import replace
from pathlib import Path

import pytest

from nielsgpt.data.cache.build import build
from nielsgpt.data.cache.shards import Split
from tests.data.cache.conftest import RECIPE, Blocks, contents, walk


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("killed_at", [0, 3, 9, 15, 19])
def test_a_build_that_was_killed_goes_on_to_the_same_files(
    mask: bool, killed_at: int, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, shard_bytes=160, context_length=8 if mask else None)
    read: list[int] = []

    def dying(skip: int) -> Blocks:
        for number, one in enumerate(walk(skip, mask=mask)):
            read.append(skip + 10 * number)
            if number == killed_at:
                raise KeyboardInterrupt
            yield one

    build(tmp_path / "straight", recipe, lambda skip: walk(skip, mask=mask))
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "killed", recipe, dying)
    begun = list(read)
    killed_at = 1000
    build(tmp_path / "killed", recipe, dying)
    assert contents(tmp_path / "killed") == contents(tmp_path / "straight")
    if len(begun) > 5:
        assert read[len(begun)] > 0, "nothing was kept"


def test_what_was_half_built_of_something_else_is_thrown_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def dying(skip: int) -> Blocks:
        yield from walk(skip, 100)
        raise KeyboardInterrupt

    small = replace(RECIPE, shard_bytes=160)
    caplog.set_level("INFO", "nielsgpt")
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "a", small, dying)
    build(tmp_path / "a", replace(small, seed=2), walk)
    assert "cannot resume the unfinished build (its inputs have changed)" in caplog.text
    build(tmp_path / "b", replace(small, seed=2), walk)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("damage", ["truncate", "remove", "no progress"])
def test_what_was_half_built_and_is_damaged_is_built_again(damage: str, tmp_path: Path) -> None:
    def dying(skip: int) -> Blocks:
        yield from walk(skip, 150)
        raise KeyboardInterrupt

    small = replace(RECIPE, shard_bytes=160)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "a", small, dying)
    part = max((tmp_path / "a").glob(".s_train-*.part"))
    if damage == "no progress":
        (tmp_path / "a" / ".s.progress.json").write_text("[")
    elif damage == "remove":
        part.unlink()
    else:
        part.write_bytes(part.read_bytes()[:1])
    build(tmp_path / "a", small, walk)
    build(tmp_path / "b", small, walk)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("fails", range(6))
def test_a_build_killed_while_files_get_their_names_goes_on_to_the_same_files(
    fails: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, shard_bytes=400, context_length=8)
    rename, left = Path.replace, [fails]

    def dying(path: Path, target: Path) -> Path:
        if path.name.endswith(".part"):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "a", recipe, lambda skip: walk(skip, mask=True))
    monkeypatch.undo()
    build(tmp_path / "a", recipe, lambda skip: walk(skip, mask=True))
    build(tmp_path / "b", recipe, lambda skip: walk(skip, mask=True))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_token_budget_ends_the_build_when_both_sides_have_it(tmp_path: Path) -> None:
    read: list[int] = []

    def long(skip: int) -> Blocks:
        for one in walk(skip, 100_000):
            read.append(one.documents)
            yield one

    build(tmp_path, replace(RECIPE, train_tokens=4000, val_tokens=1000), long)
    train, val = (Split(tmp_path, f"s_{split}", "tok") for split in ("train", "val"))
    assert 4000 <= train.tokens < 4008
    assert 1000 <= val.tokens < 1008
    assert sum(read) < 1300
    assert val.meta["split_rule"].startswith("sha256(seed, text) < 0.2, at most 4,000 tokens")


def test_a_budget_for_training_alone_leaves_the_share_of_validation(tmp_path: Path) -> None:
    build(tmp_path, replace(RECIPE, train_tokens=400), walk)
    train, val = (Split(tmp_path, f"s_{split}", "tok") for split in ("train", "val"))
    assert 400 <= train.tokens < 408
    assert 40 < val.tokens < 200
