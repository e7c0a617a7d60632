"""Splits by hash, finished or absent, never torn."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nielsgpt.data.cache.blocks import FIXED_PLACES, cut_blocks
from nielsgpt.data.cache.build import build, explain_staleness, guard_special_tokens, hash_to_unit
from nielsgpt.data.cache.shards import Split, read_meta
from nielsgpt.errors import DataError
from tests.data.cache.conftest import RECIPE, Blocks, block, contents, documents, walk


def test_every_sample_lands_on_one_side_and_keeps_its_ids(tmp_path: Path) -> None:
    build(tmp_path, RECIPE, walk)
    train, val = (Split(tmp_path, f"s_{split}", "tok") for split in ("train", "val"))
    together = sorted([*train.read(0, train.tokens), *val.read(0, val.tokens)])
    assert together == sorted(token for _, ids in documents(0, 200) for token in ids)
    assert train.meta["documents"] + val.meta["documents"] == 200
    assert 20 <= val.meta["documents"] <= 60


def test_a_document_never_changes_side_when_others_come(tmp_path: Path) -> None:
    fewer = {f"text {n}" for n in range(100) if hash_to_unit(1, f"text {n}") <= 0.2}
    more = {f"text {n}" for n in range(200) if hash_to_unit(1, f"text {n}") <= 0.2}
    assert fewer < more


def test_a_rebuild_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        build(tmp_path / name, RECIPE, walk)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_cache_is_fresh_until_something_it_is_made_from_changes(tmp_path: Path) -> None:
    assert explain_staleness(tmp_path, RECIPE) == "not built yet"
    build(tmp_path, RECIPE, walk)
    assert explain_staleness(tmp_path, RECIPE) is None
    for change in ({"tokenizer": "other"}, {"seed": 2}, {"inputs": "new"}, {"val_fraction": 0.3}):
        changed = replace(RECIPE, **change)
        assert explain_staleness(tmp_path, changed) is not None


def test_a_shorter_rebuild_leaves_nothing_of_the_longer_one(tmp_path: Path) -> None:
    small = replace(RECIPE, shard_bytes=200)
    build(tmp_path, small, walk)
    assert len(list(tmp_path.glob("s_train-*.bin"))) > 3
    build(tmp_path, RECIPE, lambda skip: walk(skip, 50))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("s_train.bin", "s_train.meta.json", "s_val.bin", "s_val.meta.json"),
    ]


def test_a_failed_walk_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken(skip: int) -> Blocks:
        yield from walk(skip, 50)
        raise DataError("line 51 is broken")

    with pytest.raises(DataError, match="line 51"):
        build(tmp_path, RECIPE, broken)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["s_train.bin", "s_train.mask.bin", "s_train.idx.npy"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_file_is_found_before_its_first_use(
    part: str, damage: str, tmp_path: Path
) -> None:
    build(tmp_path, replace(RECIPE, context_length=8), lambda skip: walk(skip, mask=True))
    path = tmp_path / part
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:-1])
    with pytest.raises(DataError, match=r"s_train\..*(damaged|bytes but its meta says)"):
        Split(tmp_path, "s_train", "tok")


def test_a_cache_that_was_never_built_is_an_error_with_the_command(tmp_path: Path) -> None:
    line = f"no cache {tmp_path / 's_train'}; make it with 'nielsgpt caches'"
    with pytest.raises(DataError, match=f"^{re.escape(line)}$"):
        Split(tmp_path, "s_train", "tok")


def test_a_cache_of_another_tokenizer_is_an_error_that_names_both(tmp_path: Path) -> None:
    build(tmp_path, RECIPE, walk)
    with pytest.raises(DataError, match=r"made with tokenizer tok, and this run's is new"):
        Split(tmp_path, "s_train", "new")


def test_a_meta_of_another_format_is_refused(tmp_path: Path) -> None:
    build(tmp_path, RECIPE, walk)
    meta = json.loads((tmp_path / "s_val.meta.json").read_text())
    meta.pop("seal")
    (tmp_path / "s_val.meta.json").write_text(json.dumps({**meta, "format": 99}))
    with pytest.raises(DataError, match="not in cache format"):
        read_meta(tmp_path, "s_val")


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_small_corpus_still_has_two_sides(count: int, tmp_path: Path) -> None:
    rare = replace(RECIPE, val_fraction=0.0001)
    build(tmp_path, rare, lambda skip: walk(skip, count))
    assert Split(tmp_path, "s_val", "tok").meta["documents"] == 1
    assert Split(tmp_path, "s_train", "tok").meta["documents"] == count - 1


def test_one_document_is_too_little(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 1 documents"):
        build(tmp_path, RECIPE, lambda skip: walk(skip, 1))


def test_large_vocabularies_take_four_bytes_an_id(tmp_path: Path) -> None:
    wide = replace(RECIPE, vocab_size=70_000)
    both = [("text 1", [69_999, 1]), ("text 2", [2])] * 9

    def blocks(skip: int) -> Blocks:
        yield block(both)

    build(tmp_path, wide, blocks)
    train = Split(tmp_path, "s_train", "tok")
    assert train.meta["token_dtype"] == "uint32-le"
    assert np.isin(train.read(0, train.tokens), [69_999, 1, 2]).all()


def test_a_literal_special_token_fails_is_escaped_or_drops_its_text() -> None:
    text = "look: <|asst|> and <|eot|>"
    with pytest.raises(DataError, match=r"story 3 contains .* <\|asst\|> at character 6"):
        guard_special_tokens(text, "story 3", "fail")
    assert guard_special_tokens(text, "", "escape") == "look: <\\|asst\\|> and <\\|eot\\|>"
    assert guard_special_tokens(text, "", "drop") is None
    assert guard_special_tokens("nothing <| special |>", "", "fail") == "nothing <| special |>"


def test_a_full_disk_is_said_once_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from nielsgpt.data.cache.build import Recipe, build
from nielsgpt.data.cache.blocks import DocumentBlock
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
recipe = Recipe("s", "inputs", "tok", 300, 1, 0.2, 2**20)
nine, places = np.full(9, 1), np.array([0.1, 0.9, 0.9])
one = DocumentBlock(3, nine, nine[:3] * 3, nine[:3] * 3, places)
try:
    build(Path(sys.argv[1]), recipe, lambda skip: (one for n in range(3000)))
except Exception as error:
    print(type(error).__name__, error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("RunError no space left to write")
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.integers(0, 3_000_000), max_size=60), st.data())
def test_blocks_are_cut_at_the_same_places_wherever_one_begins(
    sizes: list[int], data: st.DataObject
) -> None:
    blocks = list(cut_blocks(sizes, int))
    assert [size for block in blocks for size in block] == sizes
    assert all(sum(block[:-1]) < 2**20 for block in blocks)
    skipped = data.draw(st.integers(0, len(blocks)))
    passed = sum(map(len, blocks[:skipped]))
    assert list(cut_blocks(sizes[passed:], int)) == blocks[skipped:]


def test_a_block_holds_at_most_1024_documents() -> None:
    assert [len(block) for block in cut_blocks([1] * 2500, int)] == [1024, 1024, 452]


def test_a_split_of_the_dataset_wins_over_the_hash(tmp_path: Path) -> None:
    def own(skip: int) -> Blocks:
        for one in walk(skip):
            sides = [FIXED_PLACES["val" if n % 2 else "train"] for n in range(one.documents)]
            yield replace(one, places=np.array(sides))

    build(tmp_path, RECIPE, own)
    assert [Split(tmp_path, f"s_{s}", "tok").meta["documents"] for s in ("train", "val")] == [
        *(100, 100)
    ]


def test_a_dataset_whose_own_split_has_no_validation_is_an_error(tmp_path: Path) -> None:
    def own(skip: int) -> Blocks:
        for one in walk(skip):
            yield replace(one, places=np.full(one.documents, FIXED_PLACES["train"]))

    with pytest.raises(DataError, match="every document of source s went to training"):
        build(tmp_path, RECIPE, own)


def test_left_out_replies_are_logged_and_recorded_in_the_meta(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = replace(RECIPE, context_length=8)
    build(tmp_path, recipe, lambda skip: walk(skip, mask=True))
    meta = Split(tmp_path, "s_val", "tok").meta
    assert (meta["replies"], meta["replies_left_out"]) == (400, 200)
    assert "source s: 200 of 400 replies left out" in caplog.text


def test_the_index_is_a_file_that_numpy_writes_the_same(tmp_path: Path) -> None:
    recipe = replace(RECIPE, context_length=8)
    build(tmp_path, recipe, lambda skip: walk(skip, mask=True))
    path = tmp_path / "s_train.idx.npy"
    np.save(tmp_path / "again.npy", np.load(path), allow_pickle=False)
    assert (tmp_path / "again.npy").read_bytes() == path.read_bytes()
