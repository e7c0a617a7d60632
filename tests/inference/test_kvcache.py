import pytest
import torch

from nielsgpt.inference.kvcache import KVCache, Span


def keys(rows: int, positions: int, start: float = 0.0) -> torch.Tensor:
    """(B, H, T, D) = (rows, 2, positions, 3), all numbers different."""
    count = rows * 2 * positions * 3
    return torch.arange(start, start + count).view(rows, 2, positions, 3)


@torch.inference_mode()
def read(span: Span, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What one layer gets back when the rows read these keys."""
    span.place(k.size(2))
    extended = span.extend(0, k, v)
    span.advance(k.size(2))
    return extended


@torch.inference_mode()
def test_extend_returns_all_positions_so_far_of_its_own_layer() -> None:
    cache = KVCache(8)
    span, first, second = cache.span(0, 1), keys(1, 3), keys(1, 2, 100.0)
    assert span.place(3) == (slice(0, 3), 3)
    span.extend(0, first, -first)
    span.extend(1, first + 0.5, first)
    span.advance(3)
    assert span.place(2) == (slice(3, 5), 5)
    k, v = span.extend(0, second, -second)
    assert torch.equal(k, torch.cat([first, second], dim=2))
    assert torch.equal(v, -k)
    k, _ = span.extend(1, second, second)
    assert torch.equal(k[:, :, :3], first + 0.5)
    assert cache.lengths == [3]


def test_room_grows_and_keeps_what_is_there() -> None:
    cache = KVCache(300, rows=5)
    first = keys(1, 60)
    read(cache.span(0, 1), first, first)
    read(cache.span(1, 5), keys(4, 9), keys(4, 9))
    k, v = read(cache.span(0, 1), keys(1, 240, 5e3), keys(1, 240, 5e3))
    assert torch.equal(k[:, :, :60], first)
    assert torch.equal(k, v)
    assert k.size(2) == 300
    assert torch.equal(read(cache.span(4, 5), first, first)[0][:, :, :9], keys(4, 9)[3:])


def test_more_positions_or_rows_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(AssertionError, match="5 positions in a cache for 4"):
        read(KVCache(4).span(0, 1), keys(1, 5), keys(1, 5))
    with pytest.raises(IndexError):
        KVCache(4).span(0, 2).advance(1)


def test_a_row_cut_short_is_read_on_from_there() -> None:
    cache = KVCache(9)
    first, other = keys(1, 4), keys(1, 2, 50.0)
    read(cache.span(0, 1), first, first)
    cache.lengths[0] = 1
    k, _ = read(cache.span(0, 1), other, other)
    assert torch.equal(k, torch.cat([first[:, :, :1], other], dim=2))


@torch.inference_mode()
def test_rows_of_different_lengths_are_read_at_their_own_positions() -> None:
    cache = KVCache(9, rows=2)
    long, short, new = keys(1, 4), keys(1, 2, 100.0), keys(2, 1, 500.0)
    read(cache.span(0, 1), long, long)
    read(cache.span(1, 2), short, short)
    span = cache.span(0, 2)
    place, end = span.place(1)
    assert isinstance(place, torch.Tensor)
    assert place.tolist() == [[[4]], [[2]]]
    assert end == 5
    k, _ = span.extend(0, new, new)
    span.advance(1)
    assert torch.equal(k[0], torch.cat([long[0], new[0]], dim=1))
    assert torch.equal(k[1, :, :3], torch.cat([short[0], new[1]], dim=1))
    assert cache.lengths == [5, 3]


def test_rows_that_swap_take_along_what_they_hold() -> None:
    cache = KVCache(9, rows=3)
    first, second = keys(1, 4), keys(1, 2, 100.0)
    read(cache.span(0, 1), first, first)
    read(cache.span(1, 2), second, second)
    cache.swap(0, 1)
    cache.swap(0, 2)  # with a row that has never held anything
    assert cache.lengths == [0, 4, 2]
    k, _ = read(cache.span(1, 2), first, first)
    assert torch.equal(k[:, :, :4], first)
    k, _ = read(cache.span(2, 3), first, first)
    assert torch.equal(k[:, :, :2], second)
