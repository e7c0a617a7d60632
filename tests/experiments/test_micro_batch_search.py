"""The search for a micro-batch, on machines whose memory and speed are known."""

from collections.abc import Callable

import pytest

from nielsgpt.experiments.job import Row
from nielsgpt.experiments.micro_batch_search import MicroBatchSearch


class Machine:
    """Runs up to `room` rows; its speed is a function of their number. Notes what it was asked."""

    def __init__(self, room: int, speed: Callable[[int], float], failure: str = "oom") -> None:
        self.room, self.speed, self.failure = room, speed, failure
        self.asked: list[int] = []

    def __call__(self, size: int) -> Row:
        self.asked.append(size)
        if size > self.room:
            return {"status": self.failure, "reason": "too large"}
        return {"status": "ok", "tokens_per_second": self.speed(size)}


def searched(machine: Machine, most: int = 256, trials: int = 99) -> MicroBatchSearch:
    return MicroBatchSearch(machine, most, lambda: len(machine.asked) < trials).run()


def rising(size: int) -> float:
    return size / (1 + size)


def test_a_machine_that_runs_nothing_is_asked_once() -> None:
    found = searched(Machine(0, rising))
    assert (found.best, found.largest, found.failure) == (
        None,
        0,
        {"status": "oom", "reason": "too large"},
    )
    assert len(found.rows) == 1


@pytest.mark.parametrize("room", [1, 2, 3, 5, 7, 8, 13, 37, 100, 255])
def test_the_largest_that_fits_is_found_to_an_eighth(room: int) -> None:
    machine = Machine(room, rising)
    found = searched(machine)
    assert room * 7 / 8 - 1 < found.largest <= room
    assert found.largest == room or room > 8
    assert found.fastest == found.largest


@pytest.mark.parametrize(("most", "last"), [(1, 1), (6, 6), (256, 256)])
def test_no_size_above_the_cap_is_tried_and_the_cap_itself_is(most: int, last: int) -> None:
    machine = Machine(10**6, rising)
    assert searched(machine, most).largest == max(machine.asked) == last


def test_nothing_is_measured_twice() -> None:
    machine = Machine(37, lambda size: -abs(size - 11))
    searched(machine)
    assert len(machine.asked) == len(set(machine.asked))


def test_a_curve_that_bends_ends_the_doubling() -> None:
    machine = Machine(10**6, lambda size: 10 - abs(size - 4))
    found = searched(machine)
    assert found.largest == 16
    assert found.fastest == 4


def test_one_slower_size_alone_does_not_end_the_doubling() -> None:
    speeds = {1: 1.0, 2: 3.0, 4: 2.0, 8: 5.0, 16: 6.0}
    found = searched(Machine(16, lambda size: speeds.get(size, 0.0)))
    assert found.fastest == 16


def test_the_sizes_beside_a_peak_are_tried() -> None:
    machine = Machine(10**6, lambda size: 10 - abs(size - 6))
    found = searched(machine)
    assert found.fastest == 6


def test_half_of_the_largest_is_tried_for_it_is_often_faster() -> None:
    found = searched(Machine(13, lambda size: 1.0 / size if size > 6 else size))
    assert 6 in found.rows
    assert found.fastest == 6


def test_a_size_that_is_too_slow_is_not_bisected() -> None:
    machine = Machine(37, rising, "timeout")
    assert searched(machine).largest == 32
    assert machine.asked == [1, 2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        (2, "micro-batches above 2 were not tried"),
        (8, "the largest micro-batch lies between 32 and 48"),
    ],
)
def test_what_there_was_no_time_for_is_said(trials: int, said: str) -> None:
    found = searched(Machine(37, rising), trials=trials)
    assert found.cut == said
    assert found.best is not None
