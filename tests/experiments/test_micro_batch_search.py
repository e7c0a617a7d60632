"""The micro-batch search, on machines of known memory and speed."""

from collections.abc import Callable

import pytest

from nielsgpt.experiments.micro_batch_search import MicroBatchSearch
from nielsgpt.experiments.worker import ResultRow


class Machine:
    """Runs up to `room` rows, at a speed that is a function of their number; records each size."""

    def __init__(self, room: int, speed: Callable[[int], float], failure: str = "oom") -> None:
        self.room, self.speed, self.failure = room, speed, failure
        self.tried: list[int] = []

    def __call__(self, size: int) -> ResultRow:
        self.tried.append(size)
        if size > self.room:
            return {"status": self.failure, "reason": "too large"}
        return {"status": "ok", "tokens_per_second": self.speed(size)}


def search(machine: Machine, max_size: int = 256, trials: int = 99) -> MicroBatchSearch:
    return MicroBatchSearch(machine, max_size, lambda: len(machine.tried) < trials).run()


def rising(size: int) -> float:
    return size / (1 + size)


def test_a_machine_that_runs_nothing_is_tried_once() -> None:
    result = search(Machine(0, rising))
    assert (result.best, result.largest, result.failure) == (
        None,
        0,
        {"status": "oom", "reason": "too large"},
    )
    assert len(result.rows) == 1


@pytest.mark.parametrize("room", [1, 2, 3, 5, 7, 8, 13, 37, 100, 255])
def test_the_largest_that_fits_is_found_to_an_eighth(room: int) -> None:
    machine = Machine(room, rising)
    result = search(machine)
    assert room * 7 / 8 - 1 < result.largest <= room
    assert result.largest == room or room > 8
    assert result.fastest == result.largest


@pytest.mark.parametrize(("most", "last"), [(1, 1), (6, 6), (256, 256)])
def test_no_size_above_the_cap_is_tried_and_the_cap_itself_is(most: int, last: int) -> None:
    machine = Machine(10**6, rising)
    assert search(machine, most).largest == max(machine.tried) == last


def test_nothing_is_measured_twice() -> None:
    machine = Machine(37, lambda size: -abs(size - 11))
    search(machine)
    assert len(machine.tried) == len(set(machine.tried))


def test_two_slower_sizes_end_the_doubling() -> None:
    machine = Machine(10**6, lambda size: 10 - abs(size - 4))
    result = search(machine)
    assert result.largest == 16
    assert result.fastest == 4


def test_one_slower_size_alone_does_not_end_the_doubling() -> None:
    speeds = {1: 1.0, 2: 3.0, 4: 2.0, 8: 5.0, 16: 6.0}
    result = search(Machine(16, lambda size: speeds.get(size, 0.0)))
    assert result.fastest == 16


def test_the_sizes_beside_a_peak_are_tried() -> None:
    machine = Machine(10**6, lambda size: 10 - abs(size - 6))
    result = search(machine)
    assert result.fastest == 6


def test_half_of_the_largest_is_tried_because_it_is_often_faster() -> None:
    result = search(Machine(13, lambda size: 1.0 / size if size > 6 else size))
    assert 6 in result.rows
    assert result.fastest == 6


def test_a_size_that_is_too_slow_is_not_bisected() -> None:
    machine = Machine(37, rising, "timeout")
    assert search(machine).largest == 32
    assert machine.tried == [1, 2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize(
    ("trials", "skipped"),
    [
        (2, "micro-batches above 2 were not tried"),
        (8, "the largest micro-batch lies between 32 and 48"),
    ],
)
def test_what_was_skipped_for_lack_of_time_is_recorded(trials: int, skipped: str) -> None:
    result = search(Machine(37, rising), trials=trials)
    assert result.skipped == skipped
    assert result.best is not None
