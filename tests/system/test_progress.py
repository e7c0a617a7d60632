"""The time left follows the usual pace, not one stall."""

import pytest

from nielsgpt import progress


@pytest.mark.parametrize("stalled", [3, 20])
def test_one_stall_does_not_multiply_the_time_left(
    stalled: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    shown = progress.Progress("steps", 100, enabled=False)
    for done in range(1, 31):
        now += 1.0 + (60.0 if done == stalled else 0.0)
        shown.show(done, "")
    assert shown.seconds_left(30, now) == pytest.approx(70.0, rel=0.15)


def test_the_time_left_counts_what_comes_regularly(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    shown = progress.Progress("steps", 100, enabled=False)
    for done in range(1, 51):
        now += 3.0 if done % 5 == 0 else 1.0
        shown.show(done, "")
    assert shown.seconds_left(50, now) == pytest.approx(70.0, rel=0.1)
