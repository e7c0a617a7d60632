import pytest
import torch

from nielsgpt.inference.kvcache import KVCache


def keys(rows: int, positions: int, start: float = 0.0) -> torch.Tensor:
    count = rows * 2 * positions * 3
    return torch.arange(start, start + count).view(rows, 2, positions, 3)


def test_extend_returns_all_positions_so_far_of_its_own_layer() -> None:
    cache = KVCache(8)
    first, second = keys(1, 3), keys(1, 2, 100.0)
    cache.extend(0, first, -first)
    cache.extend(1, first + 0.5, first)
    cache.advance(3)
    k, v = cache.extend(0, second, -second)
    assert torch.equal(k, torch.cat([first, second], dim=2))
    assert torch.equal(v, -k)
    k, _ = cache.extend(1, second, second)
    assert torch.equal(k[:, :, :3], first + 0.5)
    assert cache.length == 3


def test_memory_is_reserved_once() -> None:
    cache = KVCache(8)
    k, _ = cache.extend(0, keys(1, 1), keys(1, 1))
    cache.advance(1)
    again, _ = cache.extend(0, keys(1, 7), keys(1, 7))
    assert again.data_ptr() == k.data_ptr()
    assert again.shape[2] == 8


def test_more_positions_than_the_capacity_are_refused() -> None:
    cache = KVCache(4)
    with pytest.raises(AssertionError, match="5 positions in a cache for 4"):
        cache.extend(0, keys(1, 5), keys(1, 5))


def test_a_cleared_cache_starts_over() -> None:
    cache = KVCache(4)
    cache.extend(0, keys(1, 4), keys(1, 4))
    cache.advance(4)
    cache.clear()
    k, _ = cache.extend(0, keys(1, 2, 50.0), keys(1, 2))
    assert torch.equal(k, keys(1, 2, 50.0))


def test_keep_selects_rows_and_goes_on_with_them() -> None:
    cache = KVCache(4)
    past, new = keys(4, 2), keys(2, 1, 500.0)
    cache.extend(0, past, past * 2)
    cache.advance(2)
    cache.keep([1, 3])
    k, v = cache.extend(0, new, new)
    assert torch.equal(k, torch.cat([past[[1, 3]], new], dim=2))
    assert torch.equal(v, torch.cat([past[[1, 3]] * 2, new], dim=2))
