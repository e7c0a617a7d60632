"""Splits by hash, finished or absent, never torn."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nielsgpt.cache.build import Recipe, Sample, build, guard, side, staleness
from nielsgpt.cache.shards import Split, read_meta
from nielsgpt.errors import DataError

RECIPE = Recipe("s", "inputs", "tok", 300, False, 1, 0.2, 2**20)


def walk(count: int = 200, mask: bool = False) -> Iterator[Sample]:
    for number in range(count):
        ids = [number % 256] * (3 + number % 5)
        yield Sample(f"text {number}", ids, len(ids), [True] * len(ids) if mask else None)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_sample_lands_on_one_side_and_keeps_its_ids(tmp_path: Path) -> None:
    build(tmp_path, RECIPE, walk)
    train, val = (Split(tmp_path, f"s_{split}", "tok") for split in ("train", "val"))
    together = sorted([*train.read(0, train.tokens), *val.read(0, val.tokens)])
    assert together == sorted(token for sample in walk() for token in sample.ids)
    assert train.meta["documents"] + val.meta["documents"] == 200
    assert 20 <= val.meta["documents"] <= 60


def test_a_document_never_changes_side_when_others_come(tmp_path: Path) -> None:
    fewer = {f"text {n}" for n in range(100) if side(1, f"text {n}") <= 0.2}
    more = {f"text {n}" for n in range(200) if side(1, f"text {n}") <= 0.2}
    assert fewer < more


def test_a_rebuild_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        build(tmp_path / name, RECIPE, walk)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_cache_is_fresh_until_something_it_is_made_from_changes(tmp_path: Path) -> None:
    assert staleness(tmp_path, RECIPE) == "not built yet"
    build(tmp_path, RECIPE, walk)
    assert staleness(tmp_path, RECIPE) is None
    for change in ({"tokenizer": "other"}, {"seed": 2}, {"inputs": "new"}, {"val_fraction": 0.3}):
        changed = Recipe(**{**RECIPE.__dict__, **change})
        assert staleness(tmp_path, changed) is not None


def test_a_shorter_rebuild_leaves_nothing_of_the_longer_one(tmp_path: Path) -> None:
    small = Recipe(**{**RECIPE.__dict__, "shard_bytes": 200})
    build(tmp_path, small, walk)
    assert len(list(tmp_path.glob("s_train-*.bin"))) > 3
    build(tmp_path, RECIPE, lambda: walk(50))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("s_train.bin", "s_train.meta.json", "s_val.bin", "s_val.meta.json"),
    ]


def test_a_failed_walk_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken() -> Iterator[Sample]:
        yield from walk(50)
        raise DataError("line 51 is broken")

    with pytest.raises(DataError, match="line 51"):
        build(tmp_path, RECIPE, broken)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["s_train.bin", "s_train.mask.bin", "s_train.idx.npy"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_file_is_found_before_its_first_use(
    part: str, damage: str, tmp_path: Path
) -> None:
    build(tmp_path, Recipe(**{**RECIPE.__dict__, "masked": True}), lambda: walk(mask=True))
    path = tmp_path / part
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:-1])
    with pytest.raises(DataError, match=r"s_train\..*(damaged|bytes where its meta says)"):
        Split(tmp_path, "s_train", "tok")


def test_a_cache_of_another_tokenizer_is_an_error_that_names_both(tmp_path: Path) -> None:
    build(tmp_path, RECIPE, walk)
    with pytest.raises(DataError, match=r"made with tokenizer tok, and this run's is new"):
        Split(tmp_path, "s_train", "new")


def test_a_meta_of_another_format_is_refused(tmp_path: Path) -> None:
    build(tmp_path, RECIPE, walk)
    meta = json.loads((tmp_path / "s_val.meta.json").read_text())
    (tmp_path / "s_val.meta.json").write_text(json.dumps({**meta, "format": 99}))
    with pytest.raises(DataError, match="not of cache format"):
        read_meta(tmp_path, "s_val")


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_small_corpus_still_has_two_sides(count: int, tmp_path: Path) -> None:
    rare = Recipe(**{**RECIPE.__dict__, "val_fraction": 0.0001})
    build(tmp_path, rare, lambda: walk(count))
    assert Split(tmp_path, "s_val", "tok").meta["documents"] == 1
    assert Split(tmp_path, "s_train", "tok").meta["documents"] == count - 1


def test_one_document_is_too_little(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 1 documents"):
        build(tmp_path, RECIPE, lambda: walk(1))


def test_large_vocabularies_take_four_bytes_an_id(tmp_path: Path) -> None:
    wide = Recipe(**{**RECIPE.__dict__, "vocab_size": 70_000})
    build(tmp_path, wide, lambda: iter([Sample("a", [69_999, 1], 2), Sample("b", [2], 1)] * 9))
    train = Split(tmp_path, "s_train", "tok")
    assert train.meta["token_dtype"] == "uint32-le"
    assert np.isin(train.read(0, train.tokens), [69_999, 1, 2]).all()


def test_a_literal_special_token_fails_is_escaped_or_drops_its_text() -> None:
    text = "look: <|asst|> and <|eot|>"
    with pytest.raises(DataError, match=r"story 3 spells .* <\|asst\|> at character 6"):
        guard(text, "story 3", "fail")
    assert guard(text, "", "escape") == "look: <\\|asst\\|> and <\\|eot\\|>"
    assert guard(text, "", "drop") is None
    assert guard("nothing <| special |>", "", "fail") == "nothing <| special |>"


def test_a_full_disk_is_said_once_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
from pathlib import Path
from nielsgpt.cache.build import Recipe, Sample, build
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
recipe = Recipe("s", "inputs", "tok", 300, False, 1, 0.2, 2**20)
try:
    build(Path(sys.argv[1]), recipe, lambda: (Sample(str(n), [1] * 9, 9) for n in range(9000)))
except Exception as error:
    print(type(error).__name__, error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("RunError no space left to write")
    assert list(tmp_path.iterdir()) == []
