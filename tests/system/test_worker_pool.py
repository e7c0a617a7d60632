"""Work in several processes: in order, ended in order, and no process left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from nielsgpt.errors import DataError, RunError, Stopped
from nielsgpt.system import worker_pool
from nielsgpt.system.worker_pool import map_in_order

REPOSITORY = Path(__file__).resolve().parents[2]
Work = Callable[[int], tuple[int, int]]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "ALONE_S", 0.0)


def squares(broken: int = -1, deadly: int = -1) -> Work:
    def work(number: int) -> tuple[int, int]:
        if number == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == broken:
            raise DataError(f"number {number} is broken")
        return number * number, os.getpid()

    return work


def run(tasks: Iterator[int], count: int, broken: int = -1) -> list[tuple[int, int]]:
    return list(map_in_order(tasks, squares(broken), squares, (broken,), count))


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_the_order_of_the_tasks(count: int) -> None:
    found = run(iter(range(20)), count)
    assert [square for square, _ in found] == [n * n for n in range(20)]
    places = [place for _, place in found]
    assert (os.getpid() in places[1:]) == (count == 1)


def test_little_work_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "ALONE_S", 60.0)
    assert {place for _, place in run(iter(range(99)), 2)} == {os.getpid()}


@pytest.mark.parametrize("broken", [0, 9])
@pytest.mark.parametrize("count", [1, 2])
def test_what_a_task_raises_comes_in_its_place_and_before_what_the_tasks_maker_raises(
    count: int, broken: int
) -> None:
    def tasks() -> Iterator[int]:
        yield from range(11)
        raise DataError("the walk is broken")

    found = []
    with pytest.raises(DataError, match=f"number {broken} is broken"):
        for square, _ in map_in_order(tasks(), squares(broken), squares, (broken,), count):
            found.append(square)
    assert found == [n * n for n in range(broken)]
    with pytest.raises(DataError, match="the walk is broken"):
        run(tasks(), count)


def test_at_most_two_tasks_a_process_are_under_way() -> None:
    made = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    with closing(map_in_order(tasks(), squares(), squares, (), 2)) as results:
        for _ in range(20):
            next(results)
    assert len(made) < 20 + 2 * 2 + 1


def test_a_process_that_is_killed_is_one_line_that_says_what_to_do() -> None:
    with pytest.raises(RunError, match=r"was killed.*data\.workers=1") as caught:
        list(map_in_order(iter(range(9)), squares(), squares, (-1, 6), 2))
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


def test_one_that_is_told_to_end_says_how_to_go_on() -> None:
    def tasks() -> Iterator[int]:
        yield 1
        signal.raise_signal(signal.SIGTERM)
        yield 2

    before = signal.getsignal(signal.SIGTERM)
    line = "stopped; rerun the same command to resume"
    with pytest.raises(Stopped, match=f"^{line}$") as caught:
        run(tasks(), 2)
    assert caught.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_one_that_started_it(number: signal.Signals) -> None:
    code = """
import itertools
from nielsgpt.system import worker_pool
from nielsgpt.system.worker_pool import map_in_order
from tests.system.test_worker_pool import squares
worker_pool.ALONE_S = 0.0
for square, place in map_in_order(itertools.count(), squares(), squares, (), 2):
    print(place, flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    seen: set[int] = set()
    while len(seen - {process.pid}) < 1:
        seen.add(int(process.stdout.readline()))
    others = [child for child in psutil.Process(process.pid).children(recursive=True)]
    assert len(others) >= 2
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    process.stdout.close()
    process.wait(timeout=20)
    _, left = psutil.wait_procs(others, timeout=20)
    assert left == []
