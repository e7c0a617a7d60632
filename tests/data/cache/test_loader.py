"""Batches are pure functions of (seed, step), and every token has its turn."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nielsgpt.data.cache.loader import IGNORED, Mixture, PackedRows, WindowRows, pack_rows
from nielsgpt.data.cache.shards import Split
from nielsgpt.data.cache.shuffle import mix_seed, shuffle_index
from nielsgpt.data.cache.split_writer import SplitWriter
from nielsgpt.errors import DataError

END = 59


def stream(folder: Path, tokens: int, shard_bytes: int = 2**20, name: str = "s") -> Split:
    writer = SplitWriter(folder, name, 60_000, shard_bytes, masked=False)
    for start in range(0, tokens, 100):
        ids = range(start, min(start + 100, tokens))
        writer.add(ids, [len(ids)], 0)
    writer.finish({"tokenizer": "t"})
    return Split(folder, name, "t")


def examples(folder: Path, lengths: list[int]) -> Split:
    writer = SplitWriter(folder, "e", 60_000, 2**20, masked=True)
    for number, length in enumerate(lengths):
        half = length // 2
        mask = [False] * half + [True] * (length - half)
        writer.add([1000 + number] * length, [length], 0, mask)
    writer.finish({"tokenizer": "t"})
    return Split(folder, "e", "t")


@given(count=st.integers(1, 3000), key=st.integers(0, 2**64 - 1))
def test_shuffling_is_a_permutation(count: int, key: int) -> None:
    assert sorted(shuffle_index(n, count, key) for n in range(count)) == list(range(count))


def test_shuffles_of_different_keys_differ() -> None:
    orders = {tuple(shuffle_index(n, 50, mix_seed(seed)) for n in range(50)) for seed in range(20)}
    assert len(orders) == 20


def test_targets_are_the_inputs_one_later(tmp_path: Path) -> None:
    mixture = Mixture({"s": WindowRows(stream(tmp_path, 5000), 16, 3)}, {"s": 1.0}, 4, 3)
    batch = mixture.batch(5)
    assert batch.inputs.shape == batch.targets.shape == (4, 16)
    assert (batch.targets == batch.inputs + 1).all()


def test_a_batch_depends_on_seed_and_step_alone(tmp_path: Path) -> None:
    split = stream(tmp_path, 5000)
    first, again, other = (
        Mixture({"s": WindowRows(split, 16, seed)}, {"s": 1.0}, 8, seed) for seed in (3, 3, 4)
    )
    first.batch(0)
    assert (first.batch(9).inputs == again.batch(9).inputs).all()
    assert (first.batch(9).inputs != first.batch(10).inputs).any()
    assert (first.batch(9).inputs != other.batch(9).inputs).any()


def test_an_epoch_reaches_at_least_95_percent_of_the_tokens(tmp_path: Path) -> None:
    rows = WindowRows(stream(tmp_path, 5000), 16, 3)
    seen = {int(token) for number in range(rows.count) for token in rows.draw(number)[1]}
    assert len(seen) >= 0.95 * 5000


def test_epochs_cut_the_stream_at_other_places(tmp_path: Path) -> None:
    rows = WindowRows(stream(tmp_path, 5000), 16, 3)
    starts = [{int(rows.draw(e * rows.count + i)[0][0]) % 16 for i in range(5)} for e in range(6)]
    assert all(len(phase) == 1 for phase in starts)
    assert len(set.union(*starts)) > 2


def test_reading_across_files_equals_reading_one(tmp_path: Path) -> None:
    one = stream(tmp_path / "one", 5000)
    many = stream(tmp_path / "many", 5000, shard_bytes=1000)
    assert len(list((tmp_path / "many").glob("*-of-*.bin"))) == 10
    for start, count in ((0, 5000), (499, 2), (700, 1300), (4999, 1)):
        assert (one.read(start, count) == many.read(start, count)).all()
        assert (one.read(start, count) == np.arange(start, start + count)).all()


def test_a_mixture_keeps_its_shares_and_skips_no_row_of_any_source(tmp_path: Path) -> None:
    sources = {
        name: WindowRows(stream(tmp_path / name, 2000 + 10_000 * i, name=name), 16, 3)
        for i, name in enumerate("abc")
    }
    mixture = Mixture(sources, {"a": 0.7, "b": 0.2, "c": 0.1}, 5, 3)
    drawn = [mixture._draws_per_source(5 * step) for step in range(201)]
    assert [count / 1000 for count in drawn[-1]] == pytest.approx([0.7, 0.2, 0.1], abs=0.002)
    steps = np.diff(np.array(drawn), axis=0)
    assert (steps >= 0).all()
    assert (steps.sum(axis=1) == 5).all()
    rows = np.array([source.count for source in sources.values()])
    assert list(mixture.epochs(1000).values()) == pytest.approx(list(drawn[-1] / rows))


def test_evaluation_rows_are_always_the_same_and_spread_over_the_split(tmp_path: Path) -> None:
    rows = WindowRows(stream(tmp_path, 5000), 16, 3)
    once, twice = ([b.inputs for b in rows.eval_batches(10, 4)] for _ in range(2))
    assert all((a == b).all() for a, b in zip(once, twice, strict=True))
    starts = np.concatenate(once)[:, 0]
    assert len(starts) == 10
    assert starts[0] == 0
    assert starts[-1] > 4900


def test_a_stream_shorter_than_a_window_is_an_error_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 16 tokens, fewer than one window of 17"):
        WindowRows(stream(tmp_path, 16), 16, 3)
    assert WindowRows(stream(tmp_path / "b", 17), 16, 3).count == 1


@given(lengths=st.lists(st.integers(1, 33), min_size=1, max_size=200))
def test_packing_places_every_example_once_and_none_overflows(lengths: list[int]) -> None:
    rows = pack_rows(np.array(lengths), 33)
    assert sorted(example for row in rows for example in row) == list(range(len(lengths)))
    assert all(sum(lengths[example] for example in row) <= 33 for row in rows)


def test_packed_rows_are_at_least_95_percent_full(tmp_path: Path) -> None:
    lengths = np.random.default_rng(0).integers(10, 60, 2000).tolist()
    assert PackedRows(examples(tmp_path, lengths), 256, 3, END).fill_rate >= 0.95


def test_packed_rows_hold_whole_examples_and_count_only_what_the_mask_says(tmp_path: Path) -> None:
    packed = PackedRows(examples(tmp_path, [6, 8, 4]), 15, 3, END)
    inputs, targets = packed.row(0, 0)
    assert packed.count == 2
    assert inputs.tolist() == [1001] * 8 + [1000] * 6 + [END]
    assert targets.tolist() == (
        [IGNORED] * 3 + [1001] * 4 + [IGNORED] * 3 + [1000] * 3 + [IGNORED] * 2
    )


def test_examples_longer_than_the_context_are_an_error_with_both_numbers(tmp_path: Path) -> None:
    split = examples(tmp_path, [17, 4])
    line = (
        "source e has an example of 17 tokens and the context has 15; "
        "run 'nielsgpt caches' for this context"
    )
    with pytest.raises(DataError, match=f"^{line}$"):
        PackedRows(split, 15, 3, END)
    assert PackedRows(split, 16, 3, END).count == 2


def test_a_padded_place_never_counts(tmp_path: Path) -> None:
    packed = PackedRows(examples(tmp_path, [3]), 15, 3, END)
    inputs, targets = packed.row(0, 0)
    assert inputs[3:].tolist() == [END] * 12
    assert (targets[2:] == IGNORED).all()


def test_batches_of_changed_sizes_read_every_row_of_an_epoch_once(tmp_path: Path) -> None:
    source = WindowRows(stream(tmp_path, 16 * 21), 16, 3)
    few, many = (Mixture({"s": source}, {"s": 1.0}, size, 3) for size in (4, 6))
    read = [few.batch(0), few.batch(1, 4), many.batch(2, 8), many.batch(3, 14)]
    rows = {tuple(row) for batch in read for row in batch.inputs}
    assert source.count == 20
    assert len(rows) == 20


def test_under_other_shares_every_source_goes_on_where_it_was(tmp_path: Path) -> None:
    sources = {
        name: WindowRows(stream(tmp_path / name, 16 * 400, name=name), 16, 3) for name in "ab"
    }
    first, other = (Mixture(sources, {"a": a, "b": 1 - a}, 4, 3) for a in (0.75, 0.25))
    state = first.state(100)
    assert state["read"] == {"a": 75, "b": 25}
    other.load(100, state)
    assert other.state(140)["read"] == {"a": 75 + 10, "b": 25 + 30}
    assert other.epochs(140) == pytest.approx({"a": 85 / 399, "b": 55 / 399})
    again = Mixture(sources, {"a": 0.25, "b": 0.75}, 4, 3)
    again.load(126, other.state(126))
    straight, resumed = (mixture.batch(40, 133) for mixture in (other, again))
    assert (straight.inputs == resumed.inputs).all()


def test_the_same_shares_and_a_new_source_change_no_count(tmp_path: Path) -> None:
    sources = {
        name: WindowRows(stream(tmp_path / name, 16 * 400, name=name), 16, 3) for name in "ab"
    }
    alone = Mixture({"a": sources["a"]}, {"a": 1.0}, 4, 3)
    same = Mixture({"a": sources["a"]}, {"a": 1.0}, 4, 3)
    same.load(10, alone.state(10))
    assert same.state(30) == alone.state(30)
    both = Mixture(sources, {"a": 0.5, "b": 0.5}, 4, 3)
    both.load(10, alone.state(10))
    assert both.state(30)["read"] == {"a": 20, "b": 10}
